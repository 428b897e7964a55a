//! What the commands of `proof` and its fuzz targets share.

pub mod attacked;
pub mod second_verifier;
