//! One connection: a request's bytes out, an answer's bytes in (HTTP/1.1, kept open, one request at a time).
//!
//! A client of its own, because at 40,000 requests a second the client must cost less than the server it measures: the
//! request is one write of bytes made beforehand, and of the answer only what the figures need is read.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Largest head of an answer, bytes.
const HEAD_MAX: usize = 64 << 10;
/// Largest body of an answer, bytes.
const BODY_MAX: usize = 64 << 20;
/// Most headers of an answer.
const HEADERS_MAX: usize = 100;
/// Bytes that are kept of the buffer between answers.
const KEPT: usize = 1 << 20;

/// What bytes go through.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection.
    Connect(String),
    /// No whole answer in time.
    Timeout,
    /// The server closed the connection before the answer was whole.
    Closed(String),
    /// What came is not HTTP.
    Malformed(String),
}

/// An answer; its body lies in the connection's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's code.
    pub status: u16,
    /// The header `server-timing`, if there is one.
    pub timing: Option<String>,
    /// True if the connection can take the next request.
    pub is_kept_open: bool,
}

/// An open connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// Bytes of the answer.
    input: Vec<u8>,
    /// The body of the last answer, without chunks.
    body: Vec<u8>,
}

impl Connection {
    /// Over an open stream.
    pub fn new(stream: Box<dyn Stream>) -> Connection {
        Connection { stream, input: Vec::with_capacity(16 << 10), body: Vec::new() }
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// False if the server has closed the connection since the last answer, or sent what nobody asked for.
    pub async fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        poll_fn(|cx| match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Pending => Poll::Ready(true),
            Poll::Ready(_) => Poll::Ready(false),
        })
        .await
    }

    /// Sends a request and reads its answer; `is_head`: the answer has no body, whatever it says.
    ///
    /// # Errors
    /// As [`Fault`] says; the connection cannot be used again.
    pub async fn exchange(&mut self, request: &[u8], is_head: bool) -> Result<Answer, Fault> {
        self.input.clear();
        self.input.shrink_to(KEPT);
        self.body.clear();
        self.body.shrink_to(KEPT);
        // A server that refuses a large body may answer and close before it has read all of it: its answer counts.
        let sent = self.stream.write_all(request).await;
        if sent.is_ok() {
            // Plain connections have nothing to flush; encrypted ones have.
            self.stream.flush().await.map_err(|e| Fault::Closed(e.to_string()))?;
        }
        let mut start = 0;
        let head = loop {
            match Head::parse(&self.input[start..])? {
                // 1xx: the answer proper follows.
                Some(head) if head.status < 200 => start += head.length,
                Some(head) => break head,
                None if self.input.len() - start > HEAD_MAX => {
                    return Err(Fault::Malformed(format!("a head of more than {HEAD_MAX} bytes")));
                }
                None => self.read().await.map_err(|fault| match &sent {
                    Ok(()) => fault,
                    Err(e) => Fault::Closed(e.to_string()),
                })?,
            }
        };
        let mut is_kept_open = head.is_kept_open && sent.is_ok();
        let start = start + head.length;
        match head.length_of_body(is_head) {
            Length::Of(length) => self.read_sized(start, length).await?,
            Length::Chunked => self.read_chunks(start).await?,
            Length::UntilClosed => {
                is_kept_open = false;
                self.read_to_end(start).await?;
            }
        }
        Ok(Answer { status: head.status, timing: head.timing, is_kept_open })
    }

    /// At least one more byte.
    async fn read(&mut self) -> Result<(), Fault> {
        self.input.reserve(8 << 10);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) if self.input.is_empty() => Err(Fault::Closed("before an answer".into())),
            Ok(0) => Err(Fault::Closed("in the midst of an answer".into())),
            Ok(_) => Ok(()),
            Err(e) => Err(Fault::Closed(e.to_string())),
        }
    }

    async fn read_sized(&mut self, start: usize, length: u64) -> Result<(), Fault> {
        let length = usize::try_from(length).ok().filter(|l| *l <= BODY_MAX).ok_or_else(too_large)?;
        while self.input.len() < start + length {
            self.read().await?;
        }
        self.body.extend_from_slice(&self.input[start..start + length]);
        if self.input.len() > start + length { Err(Fault::Malformed("more than one answer".into())) } else { Ok(()) }
    }

    async fn read_chunks(&mut self, mut at: usize) -> Result<(), Fault> {
        loop {
            let (digits, size) = loop {
                match httparse::parse_chunk_size(&self.input[at..]) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) if self.input.len() - at <= HEAD_MAX => self.read().await?,
                    _ => return Err(Fault::Malformed("the size of a chunk".into())),
                }
            };
            at += digits;
            let size = usize::try_from(size).ok().filter(|s| self.body.len() + s <= BODY_MAX).ok_or_else(too_large)?;
            if size == 0 {
                return self.read_trailers(at).await;
            }
            while self.input.len() < at + size + 2 {
                self.read().await?;
            }
            self.body.extend_from_slice(&self.input[at..at + size]);
            at += size + 2;
        }
    }

    /// Lines after the last chunk, to the empty one.
    async fn read_trailers(&mut self, at: usize) -> Result<(), Fault> {
        loop {
            let rest = &self.input[at..];
            if rest.starts_with(b"\r\n") || rest.windows(4).any(|w| w == b"\r\n\r\n") {
                return Ok(());
            }
            if rest.len() > HEAD_MAX {
                return Err(Fault::Malformed("trailers".into()));
            }
            self.read().await?;
        }
    }

    async fn read_to_end(&mut self, start: usize) -> Result<(), Fault> {
        loop {
            if self.input.len() - start > BODY_MAX {
                return Err(too_large());
            }
            self.input.reserve(8 << 10);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) => return Err(Fault::Closed(e.to_string())),
            }
        }
        self.body.extend_from_slice(&self.input[start..]);
        Ok(())
    }
}

fn too_large() -> Fault {
    Fault::Malformed(format!("a body of more than {BODY_MAX} bytes"))
}

/// How long a body is.
enum Length {
    Of(u64),
    Chunked,
    UntilClosed,
}

/// The head of an answer.
struct Head {
    status: u16,
    /// Bytes.
    length: usize,
    content_length: Option<u64>,
    is_chunked: bool,
    is_kept_open: bool,
    timing: Option<String>,
}

impl Head {
    /// The head if it is whole.
    fn parse(bytes: &[u8]) -> Result<Option<Head>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let malformed = |what: String| Fault::Malformed(what);
        let length = match parsed.parse(bytes).map_err(|e| malformed(e.to_string()))? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
        let status = parsed.code.unwrap_or(0);
        let is_current = parsed.version == Some(1);
        let mut head =
            Head { status, length, content_length: None, is_chunked: false, is_kept_open: is_current, timing: None };
        for header in parsed.headers.iter() {
            let text = || String::from_utf8_lossy(header.value);
            if header.name.eq_ignore_ascii_case("content-length") {
                let length = text().trim().parse().map_err(|_| malformed(format!("content-length «{}»", text())))?;
                head.content_length = Some(length);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                head.is_chunked = text().trim().eq_ignore_ascii_case("chunked");
                if !head.is_chunked {
                    return Err(malformed(format!("transfer-encoding «{}»", text())));
                }
            } else if header.name.eq_ignore_ascii_case("connection") {
                let says = |word: &str| text().split(',').any(|w| w.trim().eq_ignore_ascii_case(word));
                head.is_kept_open = !says("close") && (is_current || says("keep-alive"));
            } else if header.name.eq_ignore_ascii_case("server-timing") {
                head.timing = Some(text().into_owned());
            }
        }
        Ok(Some(head))
    }

    /// RFC 9112, 6.3.
    fn length_of_body(&self, is_head: bool) -> Length {
        match self.content_length {
            _ if is_head || self.status == 204 || self.status == 304 => Length::Of(0),
            _ if self.is_chunked => Length::Chunked,
            Some(length) => Length::Of(length),
            None => Length::UntilClosed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a connection makes of the bytes that a server sends, delivered in pieces of `piece` bytes.
    fn exchange(bytes: &'static [u8], piece: usize) -> Result<(u16, bool, String, Option<String>), Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            let server = tokio::spawn(async move {
                let mut request = [0; 7];
                theirs.read_exact(&mut request).await.unwrap();
                assert_eq!(&request, b"request");
                for piece in bytes.chunks(piece) {
                    theirs.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            let mut connection = Connection::new(Box::new(ours));
            let answer = connection.exchange(b"request", false).await;
            server.await.unwrap();
            let body = String::from_utf8(connection.body().to_vec()).unwrap();
            answer.map(|a| (a.status, a.is_kept_open, body, a.timing))
        })
    }

    /// What a server sends; its status, whether the connection stays, its body, its `server-timing`.
    type Case = (&'static [u8], u16, bool, &'static str, Option<&'static str>);

    #[test]
    fn reads_answers_however_they_are_cut() {
        let timed = "queue;dur=0.1, score;dur=2";
        let cases: [Case; 8] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, true, "hello", None),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, true, "", None),
            (b"HTTP/1.1 503 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", 503, false, "", None),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, false, "hi", None),
            (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", 200, true, "hi", None),
            (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, false, "to the end", None),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\na: b\r\n\r\n",
                200,
                true,
                "hello!",
                None,
            ),
            (
                b"HTTP/1.1 200 OK\r\nServer-Timing: queue;dur=0.1, score;dur=2\r\ncontent-length: 0\r\n\r\n",
                200,
                true,
                "",
                Some(timed),
            ),
        ];
        for (bytes, status, is_kept_open, body, timing) in cases {
            for piece in [1, 3, 1000] {
                let found = exchange(bytes, piece).expect("an answer");
                assert_eq!(found, (status, is_kept_open, body.into(), timing.map(String::from)));
            }
        }
    }

    #[test]
    fn names_what_is_no_answer() {
        let closed = |what: &str| Fault::Closed(what.into());
        assert_eq!(exchange(b"", 1), Err(closed("before an answer")));
        assert_eq!(exchange(b"HTTP/1.1 200 O", 1), Err(closed("in the midst of an answer")));
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel";
        assert_eq!(exchange(cut, 100), Err(closed("in the midst of an answer")));
        let malformed: [&'static [u8]; 5] = [
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        ];
        for bytes in malformed {
            assert!(matches!(exchange(bytes, 1000), Err(Fault::Malformed(_))), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
