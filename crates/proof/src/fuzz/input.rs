//! Reads the bytes of a fuzzer as values.

/// The unread bytes of an input. Missing bytes are read as zeros.
pub struct FuzzInput<'a>(&'a [u8]);

impl<'a> FuzzInput<'a> {
    /// All of an input.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    /// A whole number.
    pub fn number(&mut self) -> i64 {
        let mut bytes = [0; 8];
        bytes.fill_with(|| self.byte());
        i64::from_le_bytes(bytes)
    }

    /// Bytes after their length, which is one byte. The length 255 means all remaining bytes.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = match self.byte() {
            255 => self.0.len(),
            length => usize::from(length).min(self.0.len()),
        };
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// Some text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// All remaining bytes.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Whether no bytes remain.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes of a seed, in the order in which a [`FuzzInput`] reads them.
#[derive(Default)]
pub struct SeedWriter(Vec<u8>);

impl SeedWriter {
    /// Adds one byte.
    #[must_use]
    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    /// Adds a whole number.
    #[must_use]
    pub fn number(mut self, number: i64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Adds at most 254 bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(254)];
        self.0.push(u8::try_from(bytes.len()).unwrap_or(254));
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds these bytes and returns the seed.
    pub fn rest(mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.extend_from_slice(bytes);
        self.0
    }
}
