//! Images: a folder of PNG and JPEG files, one sub-folder a class, or a Parquet file with a column of them.
//!
//! An image becomes a row of whole numbers from 0 to 255, one column each point and channel, named after the image's sizes:
//! `image.28x28x1.0` is the first of 28 × 28 grey points. From there on the columns are numbers like any; [`Geometry`]
//! finds their places again.

use super::physical::{normalise, rebuild};
use super::{BatchReader, ReadOptions, Source};
use crate::time::Zone;
use arrow_array::builder::Int64Builder;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rayon::prelude::*;
use statera_core::{Error, Result};
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders of images.
pub const SOURCE: Source = Source {
    name: "images",
    example: "scans/, a folder of .png and .jpg files, one sub-folder a class",
    accepts,
    open,
};

/// Most columns that an image may have.
pub const MAX_COLUMNS: usize = 16_384;
/// Sides of an image file beyond this are refused before it is unpacked.
const MAX_SIDE: u32 = 8192;
/// Bytes that unpacking an image may take.
const MAX_BYTES: u64 = 1 << 29;
/// Cells of a batch.
const BATCH_CELLS: usize = 1 << 21;
/// Name of the image's columns, where no column of a table has given another.
const NAME: &str = "image";

/// Lines, points of a line, and channels of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Lines.
    pub height: usize,
    /// Points of a line.
    pub width: usize,
    /// Numbers of a point: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
}

impl Geometry {
    /// Columns: line after line, point after point, the channels of a point together.
    pub fn n_columns(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The name of a column.
    pub fn column(&self, name: &str, i: usize) -> String {
        format!("{name}.{}x{}x{}.{i}", self.height, self.width, self.channels)
    }

    /// The image's name, its sizes and the place of one of its columns, where `column` is one.
    pub fn of(column: &str) -> Option<(&str, Geometry, usize)> {
        let (rest, place) = column.rsplit_once('.')?;
        let (name, sizes) = rest.rsplit_once('.')?;
        let mut sides = sizes.split('x').map(str::parse::<usize>);
        let (Some(Ok(height)), Some(Ok(width)), Some(Ok(channels)), None) =
            (sides.next(), sides.next(), sides.next(), sides.next())
        else {
            return None;
        };
        let place = place.parse().ok()?;
        let geometry = Geometry { height, width, channels };
        let fits =
            [height, width, channels].iter().all(|n| (1..=MAX_COLUMNS).contains(n)) && place < geometry.n_columns();
        fits.then_some((name, geometry, place))
    }
}

/// True if the address names a folder.
pub fn accepts(address: &str) -> bool {
    !address.contains("://") && (address.ends_with('/') || Path::new(address).is_dir())
}

/// The image files of a folder, in the order of their names: its own, or those of its sub-folders.
///
/// # Errors
/// A folder that cannot be read.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let failed = |e: std::io::Error| Error::io(format!("{}: {e}", folder.display()));
        let entries = fs::read_dir(folder).map_err(failed)?;
        let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
        paths.sort();
        Ok(paths)
    };
    let is_image = |path: &PathBuf| {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        path.is_file() && ending.is_some_and(|e| ["png", "jpg", "jpeg"].contains(&e.as_str()))
    };
    let top = list(folder)?;
    let mut files: Vec<PathBuf> = top.iter().filter(|p| is_image(p)).cloned().collect();
    if files.is_empty() {
        for class in top.iter().filter(|p| p.is_dir()) {
            files.extend(list(class)?.into_iter().filter(is_image));
        }
    }
    Ok(files)
}

/// Opens a folder. The columns are `file`, the path within the folder; `label`, the sub-folder, where there are any; and
/// those of the image.
fn open(folder: &str, _: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    let root = PathBuf::from(folder);
    let files = files_of(&root)?;
    let Some(first) = files.first() else {
        return Err(Error::data(format!(
            "{folder}: a folder without images; allowed are .png and .jpg files, or sub-folders of them, one a class"
        )));
    };
    let geometry = Decoder::of(&read_file(first)?, &first.display().to_string())?;
    let has_labels = first.parent() != Some(&root);
    Ok(Box::new(FolderReader { decoder: Decoder { name: NAME.into(), geometry }, root, files, next: 0, has_labels }))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))
}

/// From files to rows of one geometry.
struct Decoder {
    name: String,
    geometry: Geometry,
}

impl Decoder {
    /// The geometry of an image that becomes that of all.
    fn of(bytes: &[u8], place: &str) -> Result<Geometry> {
        let image = decode(bytes, place)?;
        let (height, width) = (image.height() as usize, image.width() as usize);
        let geometry = Geometry { height, width, channels: if image.color().has_color() { 3 } else { 1 } };
        if geometry.n_columns() > MAX_COLUMNS {
            return Err(Error::data(format!(
                "{place}: {height} × {width} points of {} channels are {} columns; allowed: at most {MAX_COLUMNS}; make the \
                 images smaller",
                geometry.channels,
                geometry.n_columns()
            )));
        }
        Ok(geometry)
    }

    /// The columns of images, given with what names each in messages.
    fn columns(&self, images: &[(Vec<u8>, String)]) -> Result<Vec<ArrayRef>> {
        let rows: Vec<Vec<u8>> =
            images.par_iter().map(|(bytes, place)| self.row(bytes, place)).collect::<Result<_>>()?;
        let column = |i: usize| {
            let mut cells = Int64Builder::with_capacity(rows.len());
            rows.iter().for_each(|row| cells.append_value(i64::from(row[i])));
            Arc::new(cells.finish()) as ArrayRef
        };
        Ok((0..self.geometry.n_columns()).into_par_iter().map(column).collect())
    }

    fn row(&self, bytes: &[u8], place: &str) -> Result<Vec<u8>> {
        let image = decode(bytes, place)?;
        let Geometry { height, width, channels } = self.geometry;
        if (image.height() as usize, image.width() as usize) != (height, width) {
            return Err(Error::data(format!(
                "{place}: {} × {} points; the first image has {height} × {width}, and all must have as many",
                image.height(),
                image.width()
            )));
        }
        if channels == 1 && image.color().has_color() {
            return Err(Error::data(format!("{place}: in colour; the first image is grey, and all must be")));
        }
        Ok(if channels == 1 { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() })
    }

    fn fields(&self) -> impl Iterator<Item = Field> + '_ {
        let field = |i| Field::new(self.geometry.column(&self.name, i), DataType::Int64, true);
        (0..self.geometry.n_columns()).map(field)
    }

    /// Rows of a batch.
    fn batch_rows(&self) -> usize {
        (BATCH_CELLS / self.geometry.n_columns()).max(1)
    }
}

/// Unpacks an image of bounded size.
fn decode(bytes: &[u8], place: &str) -> Result<DynamicImage> {
    let damaged = |e: String| Error::data(format!("{place}: not a whole PNG or JPEG image ({e})"));
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| damaged(e.to_string()))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    reader.decode().map_err(|e| damaged(e.to_string()))
}

struct FolderReader {
    root: PathBuf,
    files: Vec<PathBuf>,
    next: usize,
    has_labels: bool,
    decoder: Decoder,
}

impl BatchReader for FolderReader {
    fn is_text(&self) -> bool {
        false
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let files = &self.files[self.next..(self.next + self.decoder.batch_rows()).min(self.files.len())];
        if files.is_empty() {
            return Ok(None);
        }
        self.next += files.len();
        let images: Vec<(Vec<u8>, String)> =
            files.iter().map(|f| Ok((read_file(f)?, f.display().to_string()))).collect::<Result<_>>()?;
        let within = |f: &PathBuf| f.strip_prefix(&self.root).unwrap_or(f).to_string_lossy().into_owned();
        let class = |f: &PathBuf| f.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned());
        let mut fields = vec![Field::new("file", DataType::Utf8, true)];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(files.iter().map(within)))];
        if self.has_labels {
            fields.push(Field::new("label", DataType::Utf8, true));
            columns.push(Arc::new(StringArray::from_iter(files.iter().map(class))));
        }
        fields.extend(self.decoder.fields());
        columns.extend(self.decoder.columns(&images)?);
        rebuild(fields, columns, images.len()).map(Some)
    }

    fn place(&self, row: usize) -> String {
        self.files.get(row).map_or_else(String::new, |f| f.display().to_string())
    }
}

/// The first column of a Parquet file that holds images: bytes, or a pair of `bytes` and `path`.
pub(super) fn column_of_images(schema: &Schema) -> Option<usize> {
    let is_bytes = |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    schema.fields().iter().position(|f| match f.data_type() {
        DataType::Struct(parts) => parts.iter().any(|p| p.name() == "bytes" && is_bytes(p.data_type())),
        other => is_bytes(other),
    })
}

/// Opens a Parquet file whose column `at` holds images; `None` if its first bytes are those of something else.
pub(super) fn open_parquet(path: &str, at: usize, options: &ReadOptions) -> Result<Option<Box<dyn BatchReader>>> {
    let failed = |e: &dyn std::fmt::Display| Error::data(format!("{path}: not a complete Parquet file ({e})"));
    let build = |n_rows: usize| -> Result<ParquetRecordBatchReader> {
        let file = File::open(path).map_err(|e| Error::io(format!("{path}: {e}")))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed(&e))?;
        builder.with_batch_size(n_rows).build().map_err(|e| failed(&e))
    };
    let mut first = build(1)?;
    let Some(batch) = first.next().transpose().map_err(|e| failed(&e))? else {
        return Ok(None);
    };
    let name = batch.schema().field(at).name().clone();
    let image = images_of(batch.column(at), &name, path, 0)?.swap_remove(0);
    if !image::guess_format(&image.0).is_ok_and(|f| [ImageFormat::Png, ImageFormat::Jpeg].contains(&f)) {
        return Ok(None);
    }
    let decoder = Decoder { geometry: Decoder::of(&image.0, &image.1)?, name };
    let reader = build(decoder.batch_rows())?;
    let zone = Zone::new(options.tz.as_deref())?;
    Ok(Some(Box::new(ParquetImages { path: path.into(), reader, at, decoder, zone, n_rows: 0 })))
}

/// The images of a column, each with what names it in messages.
fn images_of(column: &ArrayRef, name: &str, path: &str, first_row: usize) -> Result<Vec<(Vec<u8>, String)>> {
    let bytes = match column.as_struct_opt().and_then(|parts| parts.column_by_name("bytes")) {
        Some(bytes) => bytes.clone(),
        None => column.clone(),
    };
    let bytes = arrow_cast::cast(&bytes, &DataType::LargeBinary).map_err(|e| Error::data(format!("{path}: {e}")))?;
    let place = |row: usize| format!("{path}: column «{name}», row {}", first_row + row + 1);
    let image = |(row, bytes): (usize, Option<&[u8]>)| {
        let bytes = bytes.ok_or_else(|| Error::data(format!("{}: missing; every row needs an image", place(row))))?;
        Ok((bytes.to_vec(), place(row)))
    };
    bytes.as_binary::<i64>().iter().enumerate().map(image).collect()
}

struct ParquetImages {
    path: String,
    reader: ParquetRecordBatchReader,
    at: usize,
    decoder: Decoder,
    zone: Zone,
    n_rows: usize,
}

impl BatchReader for ParquetImages {
    fn is_text(&self) -> bool {
        false
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.reader.next().transpose();
        let Some(batch) = next.map_err(|e| Error::data(format!("{}: not a complete Parquet file ({e})", self.path)))?
        else {
            return Ok(None);
        };
        let images = images_of(batch.column(self.at), &self.decoder.name, &self.path, self.n_rows)?;
        let others: Vec<usize> = (0..batch.num_columns()).filter(|i| *i != self.at).collect();
        let rest = batch.project(&others).map_err(|e| Error::data(format!("{}: {e}", self.path)))?;
        let rest = normalise(&rest, &self.zone, self.n_rows).map_err(|e| e.at(&self.path))?;
        self.n_rows += batch.num_rows();
        let mut fields: Vec<Field> = rest.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        fields.extend(self.decoder.fields());
        let mut columns = rest.columns().to_vec();
        columns.extend(self.decoder.columns(&images)?);
        rebuild(fields, columns, batch.num_rows()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::BinaryArray;
    use image::{GrayImage, RgbImage};
    use parquet::arrow::ArrowWriter;

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).expect("writes");
        bytes.into_inner()
    }

    fn grey(first: u8) -> Vec<u8> {
        png(GrayImage::from_raw(3, 2, (0..6).map(|i| first + i).collect()).expect("sizes"))
    }

    fn read(address: &str) -> Result<RecordBatch> {
        let mut reader = super::super::open(address, &ReadOptions::default())?;
        let mut batches = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            batches.push(batch);
        }
        Ok(arrow_select::concat::concat_batches(&batches[0].schema(), &batches).expect("one schema"))
    }

    fn numbers(batch: &RecordBatch, row: usize) -> Vec<i64> {
        let columns = batch
            .schema()
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, f)| Geometry::of(f.name()).is_some())
            .map(|c| c.0)
            .collect::<Vec<_>>();
        columns.iter().map(|c| batch.column(*c).as_primitive::<arrow_array::types::Int64Type>().value(row)).collect()
    }

    #[test]
    fn a_folder_of_classes_is_a_table() {
        let folder = tempfile::tempdir().expect("a folder");
        for (class, name, first) in [("cat", "b.png", 10), ("cat", "a.PNG", 0), ("dog", "x.png", 100)] {
            fs::create_dir_all(folder.path().join(class)).expect("makes");
            fs::write(folder.path().join(class).join(name), grey(first)).expect("writes");
        }
        fs::write(folder.path().join("dog/notes.txt"), "no image").expect("writes");
        let batch = read(&folder.path().display().to_string()).expect("reads");
        assert_eq!((batch.num_rows(), batch.num_columns()), (3, 8));
        assert_eq!(batch.schema().field(7).name(), "image.2x3x1.5");
        assert_eq!(numbers(&batch, 0), [0, 1, 2, 3, 4, 5]);
        let texts =
            |i: usize| batch.column(i).as_string::<i32>().iter().flatten().map(String::from).collect::<Vec<_>>();
        assert_eq!(texts(0), ["cat/a.PNG", "cat/b.png", "dog/x.png"]);
        assert_eq!(texts(1), ["cat", "cat", "dog"]);
    }

    #[test]
    fn colours_are_three_channels_of_a_point() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a.png"), png(RgbImage::from_raw(1, 2, vec![1, 2, 3, 4, 5, 6]).expect("sizes")))
            .expect("writes");
        // A grey image among coloured ones has three equal channels.
        fs::write(folder.path().join("b.png"), png(GrayImage::from_raw(1, 2, vec![7, 8]).expect("sizes")))
            .expect("writes");
        let batch = read(&folder.path().display().to_string()).expect("reads");
        assert_eq!(batch.schema().field(0).name(), "file");
        assert_eq!(batch.schema().field(1).name(), "image.2x1x3.0", "no label without sub-folders");
        assert_eq!(numbers(&batch, 0), [1, 2, 3, 4, 5, 6]);
        assert_eq!(numbers(&batch, 1), [7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn a_parquet_column_of_images_is_unpacked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("d.parquet");
        let images: ArrayRef = Arc::new(BinaryArray::from_iter_values([grey(1), grey(50)]));
        let labels: ArrayRef = Arc::new(arrow_array::Int32Array::from(vec![4, 9]));
        let batch = RecordBatch::try_from_iter([("scan", images), ("label", labels)]).expect("valid");
        let mut writer =
            ArrowWriter::try_new(File::create(&path).expect("makes"), batch.schema(), None).expect("writes");
        writer.write(&batch).expect("writes");
        writer.close().expect("writes");
        let found = read(&path.display().to_string()).expect("reads");
        assert_eq!(found.schema().field(1).name(), "scan.2x3x1.0");
        assert_eq!(numbers(&found, 1), [50, 51, 52, 53, 54, 55]);
    }

    #[test]
    fn what_is_no_image_of_the_same_size_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = folder.path().display().to_string();
        let check = |expected: &str| {
            let error = read(&address).expect_err("refused").to_string();
            assert!(error.contains(expected), "«{error}» does not hold «{expected}»");
        };
        check(": a folder without images; allowed are .png and .jpg files");
        fs::write(folder.path().join("a.png"), grey(0)).expect("writes");
        fs::write(folder.path().join("b.png"), png(GrayImage::new(3, 3))).expect("writes");
        check("b.png: 3 × 3 points; the first image has 2 × 3, and all must have as many");
        fs::write(folder.path().join("b.png"), png(RgbImage::new(3, 2))).expect("writes");
        check("b.png: in colour; the first image is grey, and all must be");
        fs::write(folder.path().join("b.png"), &grey(0)[..40]).expect("writes");
        check("b.png: not a whole PNG or JPEG image (");
        fs::write(folder.path().join("a.png"), png(GrayImage::new(200, 100))).expect("writes");
        check("a.png: 100 × 200 points of 1 channels are 20000 columns; allowed: at most 16384");
    }

    #[test]
    fn names_of_columns_tell_their_places() {
        let geometry = Geometry { height: 2, width: 3, channels: 1 };
        assert_eq!(Geometry::of(&geometry.column("a.b", 5)), Some(("a.b", geometry, 5)));
        for other in ["image.2x3x1.6", "image.2x3.1", "image.0x3x1.0", "a.b", "image.2x3x1.x", "image.2x3x1x1.0"] {
            assert_eq!(Geometry::of(other), None, "{other}");
        }
    }
}
