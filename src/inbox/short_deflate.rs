//! A compressor for short bodies.
//!
//! Most notifications have one or two kilobytes. The compressor for long bodies clears 300 KB of
//! memory before each body, which takes many times longer than compressing such a body. This one
//! needs 8 KB.
//!
//! Both write raw DEFLATE (RFC 1951). This one writes one block with the fixed codes, in which a
//! repetition refers to the last position of the same four bytes. The output is correct whatever
//! it finds: the bytes of a repetition that it misses are written out.

/// The longest body. A position in it fits 16 bits, and no distance exceeds the limit of DEFLATE.
pub(super) const MAX_BYTES: usize = 8 * 1024;

const HASH_BITS: u32 = 12;
/// The longest repetition that one code refers to.
const MAX_LENGTH: usize = 258;
const END_OF_BLOCK: usize = 256;

/// Compresses a body of at most [`MAX_BYTES`].
pub(super) fn deflate(body: &[u8]) -> Vec<u8> {
    debug_assert!(body.len() <= MAX_BYTES);
    let mut block = BlockWriter::begin(body.len());
    // The last position of four bytes with a given hash, plus one.
    let mut positions = [0u16; 1 << HASH_BITS];
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        let (mut length, mut distance) = (0, 0);
        if let Some(four) = body[at..].first_chunk::<4>() {
            let hash = u32::from_le_bytes(*four).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
            let position = std::mem::replace(&mut positions[hash as usize], at as u16 + 1);
            if let Some(earlier) = usize::from(position).checked_sub(1) {
                let pairs = body[earlier..].iter().zip(&body[at..]).take(MAX_LENGTH);
                length = pairs.take_while(|(one, other)| one == other).count();
                distance = at - earlier;
            }
        }
        if length >= 4 {
            block.repetition(length, distance);
            at += length;
        } else {
            block.symbol(usize::from(*byte));
            at += 1;
        }
    }
    block.end()
}

/// The fixed codes of bytes, the end of the block and lengths, by symbol, each with its number of
/// bits. Codes are written from their highest bit and numbers from their lowest, so the codes here
/// are reversed.
const CODES: [(u16, u8); 286] = {
    let mut codes = [(0, 0); 286];
    let mut symbol: u16 = 0;
    while symbol < 286 {
        let (code, count) = match symbol {
            0..144 => (0x30 + symbol, 8),
            144..256 => (0x190 + symbol - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (0xc0 + symbol - 280, 8),
        };
        codes[symbol as usize] = (code.reverse_bits() >> (u16::BITS - count), count as u8);
        symbol += 1;
    }
    codes
};

/// Writes the only block of a stream, with the fixed codes.
struct BlockWriter {
    out: Vec<u8>,
    /// The bits that do not yet fill a word of 32, the first bit lowest.
    bits: u64,
    count: u32,
}

impl BlockWriter {
    fn begin(capacity: usize) -> Self {
        let mut block = Self {
            out: Vec::with_capacity(capacity),
            bits: 0,
            count: 0,
        };
        block.put(0b011, 3);
        block
    }

    fn put(&mut self, value: u32, count: u32) {
        self.bits |= u64::from(value) << self.count;
        self.count += count;
        if self.count >= u32::BITS {
            self.out
                .extend_from_slice(&(self.bits as u32).to_le_bytes());
            self.bits >>= u32::BITS;
            self.count -= u32::BITS;
        }
    }

    /// Writes a byte, the end of the block, or the symbol of a length.
    fn symbol(&mut self, symbol: usize) {
        let (code, count) = CODES[symbol];
        self.put(u32::from(code), u32::from(count));
    }

    /// Writes a repetition of the `length` bytes that begin `distance` bytes earlier. Of both
    /// numbers, the symbol gives the range, and extra bits give the position in it. The range
    /// doubles after every fourth symbol of lengths and every second symbol of distances.
    fn repetition(&mut self, length: usize, distance: usize) {
        if length == MAX_LENGTH {
            self.symbol(285);
        } else {
            let value = length - 3;
            let extra = value.checked_ilog2().unwrap_or(0).saturating_sub(2);
            self.symbol(257 + 4 * extra as usize + (value >> extra));
            self.put(value as u32 & ((1 << extra) - 1), extra);
        }
        let value = distance as u32 - 1;
        let extra = value.checked_ilog2().unwrap_or(0).saturating_sub(1);
        let code = 2 * extra + (value >> extra);
        self.put(code.reverse_bits() >> (u32::BITS - 5), 5);
        self.put(value & ((1 << extra) - 1), extra);
    }

    fn end(mut self) -> Vec<u8> {
        self.symbol(END_OF_BLOCK);
        let bytes = self.count.div_ceil(u8::BITS) as usize;
        self.out
            .extend_from_slice(&self.bits.to_le_bytes()[..bytes]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[track_caller]
    fn assert_unpacks(body: &[u8]) {
        assert!(decompress_to_vec(&deflate(body)).unwrap() == body);
    }

    proptest! {
        #[test]
        fn any_bytes_unpack_unchanged(body in vec(any::<u8>(), 0..=MAX_BYTES)) {
            assert_unpacks(&body);
        }

        #[test]
        fn repetitions_of_any_length_and_distance_unpack_unchanged(
            words in vec((vec(any::<u8>(), 1..60), 1..40usize), 1..12),
        ) {
            let text = words.iter().map(|(word, times)| word.repeat(*times));
            let mut body: Vec<u8> = text.collect::<Vec<_>>().concat();
            body.extend_from_within(..);
            body.truncate(MAX_BYTES);
            assert_unpacks(&body);
        }
    }

    #[test]
    fn every_length_and_distance_unpacks_unchanged() {
        let noise: Vec<u8> = (0..MAX_BYTES as u32)
            .map(|n| (n.wrapping_mul(0x9e37_79b1) >> 24) as u8)
            .collect();
        for length in 4..=600 {
            assert_unpacks(&[&noise[..length], &noise[..length], b"end"].concat());
            assert_unpacks(&vec![b'x'; length]);
        }
        for distance in 4..MAX_BYTES - 8 {
            assert_unpacks(&[&noise[..distance], &noise[..8]].concat());
        }
    }

    #[test]
    fn a_notification_is_compressed_nearly_as_much_as_by_the_other_compressor() {
        let body = include_bytes!("../../tests/fixtures/pay/card_payment_captured.json");
        let other = miniz_oxide::deflate::compress_to_vec(body, 1).len();
        let length = deflate(body).len();
        assert!(length < body.len() * 3 / 4, "{length}");
        assert!(length < other * 5 / 4, "{length}, {other}");
    }
}
