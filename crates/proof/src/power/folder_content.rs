//! The content of a folder, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// All files and folders below a folder, by their relative paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FolderContent {
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) folders: BTreeSet<PathBuf>,
}

impl FolderContent {
    /// Reads a folder.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut content = Self::default();
        content.add(folder, Path::new(""))?;
        Ok(content)
    }

    fn add(&mut self, root: &Path, below: &Path) -> io::Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.folders.insert(path.clone());
                self.add(root, &path)?;
            } else {
                self.files.insert(path, fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// Writes the content to a new folder.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for below in &self.folders {
            fs::create_dir_all(folder.join(below))?;
        }
        for (path, content) in &self.files {
            fs::write(folder.join(path), content)?;
        }
        Ok(())
    }
}
