//! Bytes in hexadecimal digits, sixteen a line.

use std::fmt::Write;

/// The number of bytes that are shown; the download has all of them.
pub(crate) const HEX_BYTES: usize = 8 * 1024;

/// The beginning of `bytes` in lines: the offset, the digits, and the ASCII characters.
pub(crate) fn hex_dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let shown = &bytes[..bytes.len().min(HEX_BYTES)];
    for (number, line) in shown.chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let characters = line.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let (digits, characters) = (digits.join(" "), characters.collect::<String>());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:08x}  {digits:<47}  {characters}", number * 16);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_offset_and_only_printable_characters() {
        let shown = hex_dump(b"\x00\xff{\"a\": \"\xc3\xa9\"}\n<b>!");
        assert_eq!(
            shown,
            "00000000  00 ff 7b 22 61 22 3a 20 22 c3 a9 22 7d 0a 3c 62  ..{\"a\": \"..\"}.<b\n\
             00000010  3e 21                                            >!\n"
        );
        assert_eq!(
            hex_dump(&vec![0; 3 * HEX_BYTES]).lines().count(),
            HEX_BYTES / 16
        );
        assert_eq!(hex_dump(b""), "");
    }
}
