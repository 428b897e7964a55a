//! DynamoDB on loopback, kept in memory: `dynamodb-emulator [ADDRESS] [--with-parent]`.
//!
//! Prints the address it listens on as its first line. With `--with-parent` it ends when its
//! standard input does, so that it can't outlive the tests that started it, and every line `expire`
//! it reads removes what has expired and is answered by how much that was.

use std::io::{BufRead, Write};

use dynoxide::{Database, server};

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_parent = arguments.iter().any(|argument| argument == "--with-parent");
    arguments.retain(|argument| argument != "--with-parent");
    let address = arguments.first().map_or("127.0.0.1:0", String::as_str);

    let database = Database::memory().expect("a database in memory");
    let listener = tokio::net::TcpListener::bind(address).await.expect("the address is free");
    say(&listener.local_addr().expect("it is bound").to_string());
    if with_parent {
        let database = database.clone();
        std::thread::spawn(move || obey(&database));
    }
    server::serve_on(listener, database).await;
}

fn obey(database: &Database) {
    for line in std::io::stdin().lock().lines() {
        match line.as_deref() {
            Ok("expire") => say(&database.sweep_ttl().expect("the database can be swept").to_string()),
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
