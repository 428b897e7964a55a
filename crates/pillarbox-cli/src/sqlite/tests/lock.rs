//! The lock that lets one `serve` at a time have the file.

use tempfile::TempDir;

use crate::sqlite::*;

#[test]
fn one_serve_at_a_time_has_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    let held = ServeLock::take(&file).unwrap();
    let error = ServeLock::take(&file).unwrap_err().to_string();
    assert!(error.contains("another `pillarbox serve`"), "{error}");
    drop(held);
    ServeLock::take(&file).unwrap();
}

#[test]
fn another_name_of_the_file_lets_no_second_serve_run() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let (soft, hard) = (elsewhere.join("soft.db"), elsewhere.join("hard.db"));
    let folder_link = folder.path().join("link");
    std::os::unix::fs::symlink(&elsewhere, &folder_link).unwrap();
    // Of a file that is there before the lock, and of one that the first serve makes.
    for is_there in [false, true] {
        let lock = ServeLock::take(&file).unwrap();
        let inbox = SqliteInbox::create_locked(&file, lock).unwrap();
        if !is_there {
            std::os::unix::fs::symlink(&file, &soft).unwrap();
            std::fs::hard_link(&file, &hard).unwrap();
        }
        let mut names = vec![file.clone(), soft.clone(), folder_link.join("soft.db")];
        if cfg!(target_os = "linux") {
            names.extend([hard.clone(), folder_link.join("hard.db")]);
        }
        for name in &names {
            let error = ServeLock::take(name).unwrap_err().to_string();
            assert!(error.contains("another `pillarbox serve`"), "{error}");
            assert!(ServeLock::is_held(name), "{name:?}");
        }
        drop(inbox);
        for name in &names {
            assert!(!ServeLock::is_held(name));
            drop(ServeLock::take(name).unwrap());
        }
    }
}

#[test]
fn a_running_serve_is_seen_by_its_lock_and_looking_makes_and_takes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    assert!(!ServeLock::is_held(&file));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let held = ServeLock::take(&file).unwrap();
    assert!(ServeLock::is_held(&file));
    drop(held);
    assert!(!ServeLock::is_held(&file));
    ServeLock::take(&file).unwrap();
}
