//! The code that the commands of `proof` and its fuzz targets share.

pub mod attack;
pub mod receiver_under_test;
pub mod fuzz;
pub mod second_policy;
pub mod second_verifier;
