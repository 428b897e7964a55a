//! What a disk keeps, and the interposer under a program other than Pillarbox.
