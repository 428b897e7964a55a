//! DynamoDB on loopback, kept in memory or nearly so: `dynamodb-emulator [ADDRESS] [--with-
//! parent]`.
//!
//! Prints the address it listens on as its first line. With `--with-parent` it ends when its
//! standard input does, so that it can't outlive the tests that started it, and every line `expire`
//! it reads removes what has expired and is answered by how much that was.

use std::{
    io::{BufRead, Write},
    path::Path,
};

use dynoxide::{Database, server};

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_parent = arguments.iter().any(|argument| argument == "--with-parent");
    arguments.retain(|argument| argument != "--with-parent");
    let address = arguments.first().map_or("127.0.0.1:0", String::as_str);

    let database = open();
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("the address is free");
    say(&listener.local_addr().expect("it is bound").to_string());
    if with_parent {
        let database = database.clone();
        std::thread::spawn(move || obey(&database));
    }
    server::serve_on(listener, database).await;
}

/// Opens a database that is gone when this process is.
///
/// For every write to a table with a stream, the emulator looks for the highest sequence number so
/// far, and without an index reads the whole stream for it. An index can only be added through a
/// file.
fn open() -> Database {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder for the database");
    let path = folder.path().join("dynamodb.db");
    let database = Database::new(path.to_str().expect("a path in UTF-8")).expect("a database");
    let index =
        "CREATE INDEX sequence ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";
    rusqlite::Connection::open(&path)
        .and_then(|file| file.execute_batch(index))
        .expect("the stream can be indexed");
    database // the folder goes here; what is open stays
}

fn obey(database: &Database) {
    for line in std::io::stdin().lock().lines() {
        match line.as_deref() {
            Ok("expire") => say(&database
                .sweep_ttl()
                .expect("the database can be swept")
                .to_string()),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    std::process::exit(0);
}

fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
