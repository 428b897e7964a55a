//! A disk that fills up and a pipe that nothing reads, for tests.

#![allow(
    clippy::unwrap_used,
    reason = "test code: the helpers of a test are not seen as tests"
)]

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
};

/// A file on a disk that has room for so many bytes more.
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
        let some = bytes.len().min(*room);
        if some == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= some;
        self.content
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe that is full and that nothing reads, until its other half is dropped.
pub(crate) struct StuckPipe(Receiver<()>);

impl StuckPipe {
    pub(crate) fn new() -> (Self, Sender<()>) {
        let (stuck, release) = channel();
        (Self(release), stuck)
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
