//! Blocks of whole records, cut by a thread that reads ahead a little, so that many blocks can be parsed at once.

use super::encoding::{CHUNK, TextInput};
use memchr::{memchr, memchr_iter, memchr2, memrchr};
use statera_core::{Error, Result};
use std::sync::mpsc::{Receiver, sync_channel};

/// Bytes after which a record without an end is refused; an unclosed quote would otherwise swallow the file.
const RECORD_MAX: usize = 64 << 20;

/// Blocks that wait between the cutting thread and the parsers.
const LOOK_AHEAD: usize = 2;

/// How records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Byte between fields; matters only where fields can be quoted.
    pub(super) separator: u8,
    /// Last byte of a record.
    pub(super) terminator: u8,
    /// True if fields can be quoted and then hold terminators.
    pub(super) quoted: bool,
}

/// Some whole records.
#[derive(Debug)]
pub(super) struct Block {
    /// Their text, valid UTF-8.
    pub(super) text: Vec<u8>,
    /// Line of the first byte in the source, from 1.
    pub(super) line: u64,
}

/// Cuts a text into blocks.
pub(super) struct Cutter {
    input: TextInput,
    buffer: Vec<u8>,
    line: u64,
}

impl Cutter {
    /// Reads the first chunk of `input`.
    pub(super) fn new(input: TextInput) -> Result<Cutter> {
        let mut cutter = Cutter { input, buffer: Vec::new(), line: 1 };
        cutter.input.read(&mut cutter.buffer)?;
        Ok(cutter)
    }

    /// The text that was read and not yet cut; the whole rest if the second value is true.
    pub(super) fn head(&self) -> (&[u8], bool) {
        (&self.buffer, self.input.at_end())
    }

    /// Drops the first `n` bytes, which hold `lines` line ends.
    pub(super) fn skip(&mut self, n: usize, lines: u64) {
        self.buffer.drain(..n);
        self.line += lines;
    }

    /// The next records; `None` at the end.
    pub(super) fn next_block(&mut self, cut: Cut) -> Result<Option<Block>> {
        loop {
            let end = if self.input.at_end() { Some(self.buffer.len()) } else { last_record_end(&self.buffer, cut) };
            match end {
                Some(0) if self.input.at_end() => return Ok(None),
                Some(end) if end > 0 => {
                    let mut rest = Vec::new();
                    if end < self.buffer.len() || !self.input.at_end() {
                        rest.reserve_exact(self.buffer.len() - end + CHUNK);
                        rest.extend_from_slice(&self.buffer[end..]);
                    }
                    let mut text = std::mem::replace(&mut self.buffer, rest);
                    text.truncate(end);
                    let line = self.line;
                    self.line += memchr_iter(cut.terminator, &text).count() as u64;
                    if !self.input.at_end() {
                        self.input.read(&mut self.buffer)?;
                    }
                    return Ok(Some(Block { text, line }));
                }
                _ if self.buffer.len() > RECORD_MAX => {
                    return Err(Error::data(format!(
                        "{}, line {}: a record of more than {} MiB, the most that is read; a quote may be left open",
                        self.input.origin(),
                        self.line,
                        RECORD_MAX >> 20
                    )));
                }
                _ => self.input.read(&mut self.buffer)?,
            }
        }
    }
}

/// The byte after the last whole record of `text`, which begins with a record.
fn last_record_end(text: &[u8], cut: Cut) -> Option<usize> {
    if !cut.quoted || memchr(b'"', text).is_none() {
        return memrchr(cut.terminator, text).map(|at| at + 1);
    }
    let (mut pos, mut end) = (0, None);
    while pos < text.len() {
        // At the start of a field: only here does a quote open.
        if text[pos] == b'"' {
            let Some((after, _)) = after_quoted(text, pos) else { break };
            pos = after;
        }
        match memchr2(cut.separator, cut.terminator, &text[pos..]) {
            Some(at) => {
                pos += at + 1;
                if text[pos - 1] == cut.terminator {
                    end = Some(pos);
                }
            }
            None => break,
        }
    }
    end
}

/// The byte after the closing quote of the field whose opening quote is at `open`, and whether the field has doubled
/// quotes; `None` if it is never closed.
pub(super) fn after_quoted(text: &[u8], open: usize) -> Option<(usize, bool)> {
    let mut pos = open + 1;
    let mut doubled = false;
    loop {
        pos += memchr(b'"', &text[pos..])? + 1;
        if text.get(pos) != Some(&b'"') {
            return Some((pos, doubled));
        }
        doubled = true;
        pos += 1;
    }
}

/// Blocks in order, cut ahead by a thread of their own.
pub(super) struct Blocks {
    receiver: Receiver<Result<Block>>,
}

impl Blocks {
    /// Starts the thread; it ends when the text does, or when this value is dropped.
    pub(super) fn start(mut cutter: Cutter, cut: Cut) -> Blocks {
        let (sender, receiver) = sync_channel(LOOK_AHEAD);
        std::thread::spawn(move || {
            while let Some(block) = cutter.next_block(cut).transpose() {
                let failed = block.is_err();
                if sender.send(block).is_err() || failed {
                    break;
                }
            }
        });
        Blocks { receiver }
    }

    /// Up to one block for each worker thread; empty at the end. After an error there are no more blocks.
    pub(super) fn next(&mut self) -> Vec<Result<Block>> {
        let n = rayon::current_num_threads().max(1);
        self.receiver.iter().take(n).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { separator: b',', terminator: b'\n', quoted: true };

    #[test]
    fn cuts_only_between_records() {
        let check = |text: &str, expected: Option<usize>| {
            assert_eq!(last_record_end(text.as_bytes(), CUT), expected, "{text:?}");
        };
        check("a,b\nc,d", Some(4));
        check("a,b\n", Some(4));
        check("a,b", None);
        check("a,\"x\ny\"\nc", Some(8));
        check("a\n\"x\ny", Some(2));
        check("\"a\"\"\n\"\nb", Some(7));
        // A quote inside an unquoted field is a letter.
        check("5\" pipe,1\n6\" pipe,2\n7", Some(22 - 2));
    }

    #[test]
    fn blocks_hold_every_byte_once_and_know_their_lines() {
        let text: String = (0..300_000).map(|i| format!("{i},\"a\n{i}\"\n")).collect();
        let input = TextInput::new(Box::new(std::io::Cursor::new(text.clone().into_bytes())), "t.csv");
        let mut blocks = Blocks::start(Cutter::new(input).unwrap(), CUT);
        let (mut all, mut n_blocks) = (Vec::new(), 0);
        loop {
            let some = blocks.next();
            if some.is_empty() {
                break;
            }
            for block in some {
                let block = block.unwrap();
                assert_eq!(block.line, memchr_iter(b'\n', &all).count() as u64 + 1);
                assert!(block.text.ends_with(b"\"\n"));
                all.extend_from_slice(&block.text);
                n_blocks += 1;
            }
        }
        assert!(n_blocks > 3, "{n_blocks}");
        assert_eq!(all, text.into_bytes());
    }

    #[test]
    fn refuses_an_endless_record() {
        let text = std::io::Read::chain(&b"a,b\n1,\""[..], std::io::repeat(b'x'));
        let input = TextInput::new(Box::new(text), "t.csv");
        let mut cutter = Cutter::new(input).unwrap();
        cutter.skip(4, 1);
        assert_eq!(
            cutter.next_block(CUT).unwrap_err().to_string(),
            "t.csv, line 2: a record of more than 64 MiB, the most that is read; a quote may be left open"
        );
    }
}
