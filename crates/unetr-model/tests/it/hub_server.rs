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
                let (path, start) = request(&stream);
                if path == "/stop" {
                    return;
                }
                answer(stream, file(&path, &prefix, &folder), start);
                paths.lock().unwrap().push(path);
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

/// The path, and the byte from which on the file is wanted.
fn request(stream: &TcpStream) -> (String, (usize, Option<usize>)) {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let mut range = (0, None);
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(bytes) = line.to_lowercase().strip_prefix("range: bytes=") {
            let (start, end) = bytes.split_once('-').unwrap();
            range = (start.parse().unwrap(), end.parse().ok());
        }
    }
    (path, range)
}

fn file(path: &str, prefix: &str, folder: &Path) -> Option<PathBuf> {
    let (revision, name) = path.strip_prefix(prefix)?.split_once('/')?;
    let file = folder.join(name);
    (["main", COMMIT].contains(&revision) && file.is_file()).then_some(file)
}

fn answer(mut stream: TcpStream, file: Option<PathBuf>, (start, end): (usize, Option<usize>)) {
    let Some(file) = file else {
        let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        return;
    };
    let bytes = std::fs::read(&file).unwrap();
    let part = &bytes[start..end.map_or(bytes.len(), |end| end + 1)];
    let etag = file
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace('.', "-");
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n\
         ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        part.len(),
        start + part.len() - 1,
        bytes.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(part).unwrap();
}
