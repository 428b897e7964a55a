use std::{fs, path::Path};

use super::*;

/// Every seed, and the seed cut or with a bit flipped at several positions.
#[test]
fn every_target_runs_its_seeds_and_parts_of_them() {
    for target in LIBRARY_TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for seed in seeds {
            (target.run)(&seed);
            for at in (0..seed.len()).step_by(seed.len() / 20 + 1) {
                (target.run)(&seed[..at]);
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 8);
                (target.run)(&changed);
            }
        }
        (target.run)(b"");
    }
}

#[test]
fn every_input_that_failed_in_the_past_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/failures");
    for target in LIBRARY_TARGETS {
        let Ok(inputs) = fs::read_dir(folder.join(target.name)) else {
            continue; // no input has failed
        };
        for input in inputs {
            let input = fs::read(input.unwrap().path()).unwrap();
            (target.run)(&input);
        }
    }
}

#[test]
fn every_target_has_a_unique_name() {
    let mut names: Vec<&str> = LIBRARY_TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), LIBRARY_TARGETS.len());
}
