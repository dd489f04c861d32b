//! A server that answers as the Hugging Face hub does, for one repository of one commit.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const COMMIT: &str = "c0ffee0123456789012345678901234567890123";

pub struct HubServer {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl HubServer {
    pub fn start(id: &str, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (prefix, folder) = (format!("/{id}/resolve/"), folder.to_owned());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let paths = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let path = request(&stream);
                if path == "/stop" {
                    return;
                }
                let file = file(&path, &prefix, &folder);
                // Before the answer, after which the client may count.
                paths.lock().unwrap().push(path);
                answer(stream, file);
            }
        });
        Self {
            address,
            asked,
            thread,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Nothing listens any more; returns the paths that were asked for.
    pub fn stop(self) -> Vec<String> {
        let mut stream = TcpStream::connect(self.address.trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET /stop HTTP/1.1\r\n\r\n").unwrap();
        self.thread.join().unwrap();
        self.asked.lock().unwrap().clone()
    }
}

/// The path that is asked for.
fn request(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    head[0].split(' ').nth(1).unwrap().to_owned()
}

fn file(path: &str, prefix: &str, folder: &Path) -> Option<PathBuf> {
    let (revision, name) = path.strip_prefix(prefix)?.split_once('/')?;
    let file = folder.join(name);
    (["main", COMMIT].contains(&revision) && file.is_file()).then_some(file)
}

fn answer(mut stream: TcpStream, file: Option<PathBuf>) {
    let Some(file) = file else {
        let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        return;
    };
    let bytes = std::fs::read(&file).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes).unwrap();
}
