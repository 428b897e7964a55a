//! Rows of the SQLite inbox, damaged in any way.

use std::cell::OnceCell;

use pillarbox_cli::sqlite::{AnyColumn, ColumnReader};
use proof::fuzz::{FuzzInput, SeedWriter, check_row};

/// The types of the columns in order: 1 is a number, 2 is text, 3 is bytes.
const TYPES: [u8; 27] = [
    1, 2, 1, 2, 2, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 2, 2, 3, 3, 2, 1, 2, 3, 2, 3, 3,
];

thread_local! {
    static READER: OnceCell<ColumnReader> = const { OnceCell::new() };
}

/// Any values in the columns: an error, or a row that can be used.
pub fn run(bytes: &[u8]) {
    let mut input = FuzzInput::new(bytes);
    let mut values = Vec::new();
    for usual in TYPES {
        let as_type = match input.byte() {
            0..230 => usual,
            other => other % 5,
        };
        values.push(match as_type {
            0 => AnyColumn::Null,
            1 => AnyColumn::Integer(input.number()),
            2 => AnyColumn::Text(input.text()),
            3 => AnyColumn::Bytes(input.bytes().to_vec()),
            _ => AnyColumn::Real(f64::from_bits(input.number().cast_unsigned())),
        });
    }
    READER.with(|reader| {
        let reader = reader.get_or_init(|| ColumnReader::new().expect("SQLite opens in memory"));
        if let Ok(row) = reader.read(values) {
            check_row(&row);
        }
    });
}

/// Valid rows.
pub fn seeds() -> Vec<Vec<u8>> {
    let at = 1_772_446_531_480;
    [&b"recorded"[..], b"delivered"]
        .map(|state| {
            let mut seed = SeedWriter::default();
            for (column, of_type) in TYPES.iter().enumerate() {
                let text: &[u8] = match column {
                    1 => b"pay:6otj8gn4i5k7rh7f8s0gq1mbu9",
                    3 => state,
                    11 => b"push",
                    18 | 19 => &[7; 32],
                    22 => b"govuk-pay",
                    _ => b"x",
                };
                let number = match column {
                    0 | 2 => 1,
                    5 => 3,
                    21 => 0,
                    _ => at,
                };
                seed = match of_type {
                    1 => seed.byte(0).number(number),
                    _ => seed.byte(0).bytes(text),
                };
            }
            seed.rest(b"")
        })
        .into()
}
