//! The lock that allows one `serve` at a time.

use tempfile::TempDir;

use crate::sqlite::*;

#[test]
fn a_second_serve_cannot_run_under_another_name_of_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let (soft, hard) = (elsewhere.join("soft.db"), elsewhere.join("hard.db"));
    let folder_link = folder.path().join("link");
    std::os::unix::fs::symlink(&elsewhere, &folder_link).unwrap();
    // The first `serve` creates the file, the second finds it.
    for exists in [false, true] {
        let lock = ServeLock::acquire(&file).unwrap();
        let inbox = SqliteInbox::create_locked(&file, lock).unwrap();
        if !exists {
            std::os::unix::fs::symlink(&file, &soft).unwrap();
            std::fs::hard_link(&file, &hard).unwrap();
        }
        let mut names = vec![file.clone(), soft.clone(), folder_link.join("soft.db")];
        if cfg!(target_os = "linux") {
            names.extend([hard.clone(), folder_link.join("hard.db")]);
        }
        for name in &names {
            let error = ServeLock::acquire(name).unwrap_err().to_string();
            assert!(error.contains("another `pillarbox serve`"), "{error}");
            assert!(ServeLock::is_held(name), "{name:?}");
        }
        drop(inbox);
        for name in &names {
            assert!(!ServeLock::is_held(name));
            drop(ServeLock::acquire(name).unwrap());
        }
    }
}

#[test]
fn one_serve_at_a_time_has_the_lock_and_is_held_neither_creates_nor_locks_anything() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    assert!(!ServeLock::is_held(&file));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let held = ServeLock::acquire(&file).unwrap();
    assert!(ServeLock::is_held(&file));
    let error = ServeLock::acquire(&file).unwrap_err().to_string();
    assert!(error.contains("another `pillarbox serve`"), "{error}");
    drop(held);
    assert!(!ServeLock::is_held(&file));
    ServeLock::acquire(&file).unwrap();
}
