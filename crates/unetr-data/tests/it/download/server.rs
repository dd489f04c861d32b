use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the server does with one connection.
#[derive(Clone, Copy)]
pub enum Answer {
    /// Sends the file, from where the request's range begins.
    Whole,
    /// As `Whole`, but hangs up after this many bytes of the body.
    Cut(usize),
    /// As `Cut`, but keeps the connection open and silent.
    Stall(usize),
    /// Sends the file from its start, whatever the range.
    NoRange,
    /// Sends a range that was not asked for.
    WrongRange,
    /// Sends the file without saying how long it is.
    NoLength,
    /// Sends this status and nothing else.
    Status(u16),
}

/// An HTTP/1.1 server of one file that answers its connections as told and the rest with 404.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    pub fn new(file: Vec<u8>, answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/images.tar.gz", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers) = (
            Arc::clone(&requests),
            answers.into_iter().collect::<Vec<_>>(),
        );
        thread::spawn(move || {
            let mut stalled = Vec::new();
            for (turn, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                let range = read_range(&stream);
                seen.lock().unwrap().push(range);
                let answer = answers.get(turn).copied().unwrap_or(Answer::Status(404));
                // A client that hangs up first is fine.
                let _ = respond(&stream, answer, &file, range);
                if matches!(answer, Answer::Stall(_)) {
                    stalled.push(stream);
                }
            }
        });
        Self { url, requests }
    }

    /// Where the range of every request so far began; `None` for those without.
    pub fn requests(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_range(stream: &TcpStream) -> Option<usize> {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("range: bytes=")?
                .strip_suffix('-')?
                .parse()
                .ok()
        })
        .last()
}

fn respond(
    mut stream: &TcpStream,
    answer: Answer,
    file: &[u8],
    range: Option<usize>,
) -> std::io::Result<()> {
    let total = file.len();
    let (range, sent) = match answer {
        Answer::Whole => (range, total),
        Answer::Cut(bytes) | Answer::Stall(bytes) => (range, bytes),
        Answer::WrongRange => (range.map(|start| start + 1), total),
        Answer::NoRange | Answer::NoLength => (None, total),
        Answer::Status(status) => {
            return write!(
                stream,
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    };
    let body = &file[range.unwrap_or(0)..];
    match range {
        Some(start) => write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}\r\n",
            total - 1
        )?,
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
    }
    if !matches!(answer, Answer::NoLength) {
        write!(stream, "Content-Length: {}\r\n", body.len())?;
    }
    write!(stream, "Connection: close\r\n\r\n")?;
    stream.write_all(&body[..sent.min(body.len())])
}
