//! Bytes to UTF-8: the encoding is found on the first bytes that are not ASCII, and then every byte must decode.
//!
//! UTF-8 and UTF-16 are known by their mark or by validity. Korean (CP949, the superset of EUC-KR) and Chinese (GB18030)
//! exports share most byte pairs, so where both decode, the one whose characters are common in its language is taken.

use super::input::{Input, read_error};
use encoding_rs::{Decoder, DecoderResult, EUC_KR, GB18030, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr_iter};
use statera_core::{Error, Result};
use std::io::Read;
use std::sync::{Arc, OnceLock};

/// Bytes read and decoded at a time; also the sample on which an encoding is decided.
pub(super) const CHUNK: usize = 1 << 20;

/// An encoding of text that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Cp949,
    Gb18030,
}

impl Encoding {
    /// Its name in messages and facts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF-8",
            Encoding::Utf16Le | Encoding::Utf16Be => "UTF-16",
            Encoding::Cp949 => "CP949",
            Encoding::Gb18030 => "GB18030",
        }
    }

    fn decoder(self) -> Decoder {
        let encoding = match self {
            Encoding::Utf8 => encoding_rs::UTF_8,
            Encoding::Utf16Le => UTF_16LE,
            Encoding::Utf16Be => UTF_16BE,
            // WHATWG's "EUC-KR" is CP949, with the syllables that EUC-KR lacks.
            Encoding::Cp949 => EUC_KR,
            Encoding::Gb18030 => GB18030,
        };
        encoding.new_decoder_without_bom_handling()
    }
}

/// A text as UTF-8, chunk by chunk, at constant memory.
pub(super) struct TextInput {
    input: Input,
    origin: String,
    chunk: Vec<u8>,
    decoder: Option<Decoder>,
    /// Set once the encoding is known; text that is all ASCII needs none.
    encoding: Arc<OnceLock<Encoding>>,
    /// Bytes of the source before `chunk`.
    offset: u64,
    /// Line ends decoded so far.
    lines: u64,
    at_end: bool,
}

impl TextInput {
    /// Text of `input`, which messages call `origin`.
    pub(super) fn new(input: Input, origin: &str) -> TextInput {
        TextInput {
            input,
            origin: origin.to_string(),
            chunk: Vec::new(),
            decoder: None,
            encoding: Arc::default(),
            offset: 0,
            lines: 0,
            at_end: false,
        }
    }

    /// The cell in which the encoding appears when it is known.
    pub(super) fn encoding(&self) -> Arc<OnceLock<Encoding>> {
        self.encoding.clone()
    }

    /// What messages call the source.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// True once everything was delivered.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Appends the next chunk of valid UTF-8 to `text`.
    pub(super) fn read(&mut self, text: &mut Vec<u8>) -> Result<()> {
        self.chunk.clear();
        self.chunk.reserve_exact(CHUNK);
        let n = self
            .input
            .by_ref()
            .take(CHUNK as u64)
            .read_to_end(&mut self.chunk)
            .map_err(|e| read_error(&self.origin, &e))?;
        self.at_end = n < CHUNK;
        let mut from = 0;
        if self.offset == 0 {
            refuse_known_binary(&self.chunk, &self.origin)?;
            from = self.read_mark();
        }
        if !matches!(self.encoding.get(), Some(Encoding::Utf16Le | Encoding::Utf16Be))
            && let Some(at) = memchr(0, &self.chunk)
        {
            return Err(self.wrong(at, "a zero byte; this is not a text file"));
        }
        if self.encoding.get().is_none() && !self.chunk.is_ascii() {
            let found = detect(&self.chunk, self.at_end);
            let encoding =
                found.map_err(|(at, guess)| self.wrong(at, &format!("not {}{}", guess.name(), HOW_TO_CONVERT)))?;
            self.encoding.get_or_init(|| encoding);
        }
        let start = text.len();
        match self.encoding.get() {
            None => text.extend_from_slice(&self.chunk[from..]),
            Some(&encoding) => self.decode(encoding, from, text)?,
        }
        self.lines += memchr_iter(b'\n', &text[start..]).count() as u64;
        self.offset += n as u64;
        Ok(())
    }

    /// Takes a byte order mark off the first chunk: its length.
    fn read_mark(&mut self) -> usize {
        let marks: [(&[u8], Encoding); 3] = [
            (&[0xEF, 0xBB, 0xBF], Encoding::Utf8),
            (&[0xFF, 0xFE], Encoding::Utf16Le),
            (&[0xFE, 0xFF], Encoding::Utf16Be),
        ];
        for (mark, encoding) in marks {
            if self.chunk.starts_with(mark) {
                self.encoding.get_or_init(|| encoding);
                return mark.len();
            }
        }
        0
    }

    /// Decodes the chunk from `from` on.
    fn decode(&mut self, encoding: Encoding, from: usize, text: &mut Vec<u8>) -> Result<()> {
        let start = text.len();
        let decoder = self.decoder.get_or_insert_with(|| encoding.decoder());
        if let Err(read) = decode_into(decoder, &self.chunk[from..], self.at_end, text) {
            self.lines += memchr_iter(b'\n', &text[start..]).count() as u64;
            let at = from + read;
            let offset = self.offset + at as u64;
            let byte = self.chunk.get(at).map_or("the end of the file".to_string(), |b| format!("byte 0x{b:02X}"));
            return Err(Error::data(format!(
                "{}, line {}, offset {offset}: {byte} is not {}{HOW_TO_CONVERT}",
                self.origin,
                self.lines + 1,
                encoding.name()
            )));
        }
        Ok(())
    }

    /// An error at a byte of the present chunk.
    fn wrong(&self, at: usize, what: &str) -> Error {
        let line = self.lines + 1 + memchr_iter(b'\n', &self.chunk[..at]).count() as u64;
        let byte = self.chunk.get(at).filter(|&&b| b != 0).map_or(String::new(), |b| format!("byte 0x{b:02X} is "));
        Error::data(format!("{}, line {line}, offset {}: {byte}{what}", self.origin, self.offset + at as u64))
    }
}

/// What an error about an encoding ends with.
const HOW_TO_CONVERT: &str = "; text is read as UTF-8, UTF-16 with a mark, CP949 or GB18030";

/// Fails for files that are known not to be text by their first bytes.
fn refuse_known_binary(head: &[u8], origin: &str) -> Result<()> {
    let kinds: [(&[u8], &str); 5] = [
        (b"PAR1", "a Parquet file; name it .parquet"),
        (b"ARROW1", "an Arrow file, not text"),
        (b"PK\x03\x04", "a zip archive or a workbook; name a workbook .xlsx"),
        (b"\xD0\xCF\x11\xE0", "an old Excel file; save it as .xlsx"),
        (b"%PDF", "a PDF file, not text"),
    ];
    match kinds.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, what)) => Err(Error::data(format!("{origin}: {what}"))),
        None => Ok(()),
    }
}

/// Appends the decoded `bytes` to `text`; an error is the index of the first byte of the undecodable sequence (of the
/// last byte before it if the sequence began in an earlier chunk).
fn decode_into(decoder: &mut Decoder, bytes: &[u8], last: bool, text: &mut Vec<u8>) -> std::result::Result<(), usize> {
    let start = text.len();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len() * 3 + 16);
    text.resize(start + room, 0);
    let (result, read, written) = decoder.decode_to_utf8_without_replacement(bytes, &mut text[start..], last);
    text.truncate(start + written);
    match result {
        DecoderResult::Malformed(length, after) => Err(read.saturating_sub(usize::from(length) + usize::from(after))),
        // The room is the decoder's own bound, so the output cannot be full.
        DecoderResult::InputEmpty | DecoderResult::OutputFull => Ok(()),
    }
}

/// The encoding of a sample that is not ASCII, or where it fails to decode under the encoding that comes furthest.
fn detect(sample: &[u8], complete: bool) -> std::result::Result<Encoding, (usize, Encoding)> {
    let utf8_fails_at = match std::str::from_utf8(sample) {
        Ok(_) => return Ok(Encoding::Utf8),
        Err(e) if e.error_len().is_none() && !complete => return Ok(Encoding::Utf8),
        Err(e) => e.valid_up_to(),
    };
    let attempt = |encoding: Encoding| {
        let mut text = Vec::new();
        decode_into(&mut encoding.decoder(), sample, complete, &mut text)
            .map(|()| String::from_utf8_lossy(&text).into_owned())
    };
    match (attempt(Encoding::Cp949), attempt(Encoding::Gb18030)) {
        (Ok(korean), Ok(chinese)) => {
            let korean = commonness(&korean, COMMON_HANGUL);
            let chinese = commonness(&chinese, COMMON_HANZI);
            Ok(if korean >= chinese { Encoding::Cp949 } else { Encoding::Gb18030 })
        }
        (Ok(_), Err(_)) => Ok(Encoding::Cp949),
        (Err(_), Ok(_)) => Ok(Encoding::Gb18030),
        (Err(korean), Err(chinese)) => {
            let tried = [(utf8_fails_at, Encoding::Utf8), (korean, Encoding::Cp949), (chinese, Encoding::Gb18030)];
            // The first of the furthest, so that a stray byte in ASCII text is told as «not UTF-8».
            Err(tried.into_iter().rev().max_by_key(|(at, _)| *at).unwrap_or((utf8_fails_at, Encoding::Utf8)))
        }
    }
}

/// Share of the characters beyond ASCII that are among `common`.
fn commonness(text: &str, common: &str) -> f64 {
    let common: std::collections::HashSet<char> = common.chars().collect();
    let (mut n, mut n_common) = (0usize, 0usize);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        n += 1;
        n_common += usize::from(common.contains(&c));
    }
    n_common as f64 / n.max(1) as f64
}

/// Syllables frequent in Korean prose, in family names and in a bank's tables.
const COMMON_HANGUL: &str = "이다는을의에가고하지로한도기사은를자니그어리대시나인라서만있보해수아정일안부여제스상전주과들원구으적게오면동거우\
신모장소관세무위방비유실경선화국성개마진조물생학반공명발체분년월금액번호객계좌출연여신용등급상환불량남녀나이직업혼인별김박최강윤임권황송류\
홍행점카드납입매달간건횟회미결합산민중재요청태역외내까된될했던없것또더와입용미드백천억잔고율택저당담증권번코";

/// Characters frequent in simplified Chinese prose, in family names and in a bank's tables.
const COMMON_HANZI: &str = "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多\
天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点\
月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入\
先山五太水万市别体处总才场师书比住员九性通目报立张活数件安表原车应路期死常提感金何更合做系计或司利受光王果及今务制解各任至清物台记边共风战\
接它许特直服题建南度统色字请交让认算论百元社术结六指思每管资据量额款贷卡户账借还逾银行编号客类型婚育已未离男职收入状态余刘陈杨黄赵吴周徐孙马\
朱胡郭林罗郑梁宋唐韩冯";

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Result<(String, Option<Encoding>)> {
        let mut input = TextInput::new(Box::new(std::io::Cursor::new(bytes.to_vec())), "t.csv");
        let mut text = Vec::new();
        while !input.at_end() {
            input.read(&mut text)?;
        }
        Ok((String::from_utf8(text).expect("the decoder writes UTF-8"), input.encoding.get().copied()))
    }

    fn encoded(text: &str, encoding: &'static encoding_rs::Encoding) -> Vec<u8> {
        let (bytes, _, lossy) = encoding.encode(text);
        assert!(!lossy, "{text} does not fit {}", encoding.name());
        bytes.into_owned()
    }

    #[test]
    fn finds_the_encoding_of_korean_and_chinese_exports() {
        let korean =
            ["고객번호,성별,직업\n1,남,회사원\n2,여,자영업\n", "이름\n김철수\n박영희\n", "대출금액,연체여부\n1,정상\n"];
        for text in korean {
            assert_eq!(read_all(&encoded(text, EUC_KR)).unwrap(), (text.to_string(), Some(Encoding::Cp949)));
        }
        let chinese =
            ["客户编号,性别,婚姻状况\n1,男,已婚\n2,女,未婚\n", "姓名\n王伟\n李娜\n", "贷款金额,是否逾期\n1,是\n"];
        for text in chinese {
            assert_eq!(read_all(&encoded(text, GB18030)).unwrap(), (text.to_string(), Some(Encoding::Gb18030)));
        }
    }

    #[test]
    fn reads_marks_and_late_letters() {
        let text = "이름,나이\n김,1\n";
        let with_mark = [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat();
        assert_eq!(read_all(&with_mark).unwrap(), (text.to_string(), Some(Encoding::Utf8)));
        let le: Vec<u8> = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(read_all(&le).unwrap(), (text.to_string(), Some(Encoding::Utf16Le)));
        let be: Vec<u8> = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        assert_eq!(read_all(&be).unwrap(), (text.to_string(), Some(Encoding::Utf16Be)));
        assert_eq!(read_all(b"a,b\n1,2\n").unwrap().1, None);
        // Korean only after the first chunk, and a pair of bytes that two chunks share.
        let late = format!("{}이름을 가진 고객의 대출", "a,1234\n".repeat(CHUNK / 7 + 1));
        assert_eq!(read_all(&encoded(&late, EUC_KR)).unwrap(), (late, Some(Encoding::Cp949)));
        for padding in 0..3 {
            let split = format!("{}{}", "a".repeat(padding), "가나다라".repeat(CHUNK / 6));
            assert_eq!(read_all(split.as_bytes()).unwrap().0, split);
            assert_eq!(read_all(&encoded(&split, EUC_KR)).unwrap().0, split);
        }
    }

    #[test]
    fn names_the_byte_that_does_not_decode() {
        let check = |bytes: &[u8], expected: &str| {
            let message = read_all(bytes).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        };
        check(b"name\ncaf\xE9,1\n", "t.csv, line 2, offset 8: byte 0xE9 is not UTF-8; text is read as");
        check(b"a\n\xFF\n", "t.csv, line 2, offset 2: byte 0xFF is not UTF-8");
        check(b"a,b\n1,\0\n", "t.csv, line 2, offset 6: a zero byte; this is not a text file");
        check(b"PAR1....", "t.csv: a Parquet file; name it .parquet");
        check(
            "\u{FEFF}가나\n\u{FFFD}".as_bytes().split_last().unwrap().1,
            "t.csv, line 2, offset 10: byte 0xEF is not UTF-8",
        );
        let mut damaged = encoded("고객 이름\n회사원\n자영업\n", EUC_KR);
        damaged[12] = 0xFF;
        check(&damaged, "t.csv, line 2, offset 12: byte 0xFF is not CP949");
    }
}
