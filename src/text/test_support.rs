//! A disk that fills up and a pipe that nothing reads, for tests.

#![allow(
    clippy::unwrap_used,
    reason = "test code: Clippy does not recognise test helpers as tests"
)]

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
};

/// A file on a disk with a limited number of free bytes.
#[derive(Clone, Default)]
pub(crate) struct SmallDisk {
    content: Arc<Mutex<Vec<u8>>>,
    room: Arc<Mutex<usize>>,
}

impl SmallDisk {
    pub(crate) fn with_room(room: usize) -> Self {
        let disk = Self::default();
        disk.make_room(room);
        disk
    }

    pub(crate) fn make_room(&self, room: usize) {
        *self.room.lock().unwrap() = room;
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.content.lock().unwrap().clone()).unwrap()
    }
}

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        let written = bytes.len().min(*room);
        if written == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= written;
        self.content
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A full pipe without a reader: a write blocks until the sender that `new` returns is dropped.
pub(crate) struct StuckPipe(Receiver<()>);

impl StuckPipe {
    pub(crate) fn new() -> (Self, Sender<()>) {
        let (release, released) = channel();
        (Self(released), release)
    }
}

impl Write for StuckPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
