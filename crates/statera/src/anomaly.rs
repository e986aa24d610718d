//! Boosting that reads the score of an autoencoder as one more column. Trees and networks are of crates that do not know each
//! other: they meet here. (That of an isolation forest is whole in `statera-learn`.)

use statera_core::{Error, Frame, FrameSpec, Model, Parts, Result, Run};
use statera_learn::boosted::{self, Detector};
use statera_nn::model::{AutoencoderModel, AutoencoderParams, autoencoder};

/// The family's name in lists, on the command line and in bundles.
pub const BOOSTED: &str = "boosting_autoencoder";

/// Of the training rows that count, one in this many tells the autoencoder when to stop.
const STOPPING_EVERY: usize = 7;

/// An autoencoder that gives a column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Autoencoding(pub AutoencoderParams);

/// Settings of boosting that reads an autoencoder's score.
pub type BoostedParams = boosted::BoostedParams<Autoencoding>;
/// A fitted autoencoder and the trees that read its score.
pub type BoostedModel = boosted::BoostedModel<Autoencoding>;

impl Autoencoding {
    /// The same with a small network that fits in a moment.
    #[must_use]
    pub fn quick(self) -> Autoencoding {
        Autoencoding(self.0.quick())
    }
}

/// The training rows that the autoencoder learns, and those that tell it when to stop. Rows of weight 0 are neither: whether they
/// are there must change nothing.
fn sides(train: &Frame) -> (Frame, Frame) {
    let counting = (0..train.n_rows).filter(|&row| train.weight_of(row) > 0.0).enumerate();
    let (stopping, learnt): (Vec<_>, Vec<_>) = counting.partition(|(at, _)| at % STOPPING_EVERY == STOPPING_EVERY - 1);
    let take = |rows: Vec<(usize, usize)>| train.take(&rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
    (take(learnt), take(stopping))
}

impl Detector for Autoencoding {
    const NAME: &'static str = autoencoder::NAME;
    const BOOSTED: &'static str = BOOSTED;
    type Model = AutoencoderModel;

    /// Where the number of epochs is not given, some of the training rows tell when to stop: those that tell boosting judge it.
    fn detect(&self, train: &Frame, run: &Run) -> Result<AutoencoderModel> {
        let fitted = match self.0.train.patience {
            Some(_) => {
                let (learnt, stopping) = sides(train);
                self.0.fit_model(&learnt, &stopping, run)
            }
            None => self.0.fit_model(train, &Frame::default(), run),
        };
        fitted.map_err(|e: Error| if e.is_cancelled() { e } else { e.at(autoencoder::NAME) })
    }

    fn for_refit(&self, folds: &[&dyn Model]) -> Autoencoding {
        Autoencoding(self.0.refit_params(folds))
    }

    fn load(parts: &Parts) -> Result<AutoencoderModel> {
        AutoencoderModel::load(parts)
    }

    fn spec(model: &AutoencoderModel) -> &FrameSpec {
        model.spec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::{Column, Estimator, FeatureSpec, Rng, metric};

    /// Six numbers that are about the same and a level that follows them. The target is 1 where one of the numbers leaves the
    /// others: each column is ordinary then, the row is not.
    fn rows(n: usize, seed: u64) -> Frame {
        let mut rng = Rng::new(seed);
        let (mut numbers, mut level, mut target) = (vec![Vec::new(); 6], Vec::new(), Vec::new());
        for _ in 0..n {
            let x = rng.normal();
            let odd = (rng.uniform() < 0.1).then(|| rng.below(6));
            for (j, column) in numbers.iter_mut().enumerate() {
                let y = x + 0.1 * rng.normal();
                column.push(if odd == Some(j) { y - 1.5 * x.signum() } else { y });
            }
            level.push(3 + u32::from(x > 0.0));
            target.push(f64::from(u8::from(odd.is_some())));
        }
        let feature = |(raw, name): (usize, &String)| FeatureSpec {
            name: name.clone(),
            raw,
            levels: (raw == 6).then(|| ["low", "high"].map(String::from).into_iter().collect()),
            sentinels: Vec::new(),
            monotone: 0,
        };
        let raw_columns: Vec<String> = ["a", "b", "c", "d", "e", "f", "side"].map(String::from).to_vec();
        let features = raw_columns.iter().enumerate().map(feature).collect();
        let columns = numbers.into_iter().map(Column::Number).chain([Column::Codes(level)]).collect();
        let spec = FrameSpec { features, raw_columns, ..FrameSpec::default() };
        Frame { spec: spec.into(), n_rows: n, columns, target, ..Frame::default() }
    }

    fn quick() -> BoostedParams {
        BoostedParams { detector: Autoencoding::default().quick(), ..BoostedParams::default() }
    }

    fn run() -> Run {
        Run::new(3, 2)
    }

    /// With the score of an autoencoder as the last column.
    fn wider(frame: &Frame, autoencoder: &AutoencoderModel) -> Frame {
        let mut spec = FrameSpec::clone(&frame.spec);
        let (name, raw) = (boosted::SCORE.to_string(), spec.raw_columns.len());
        spec.features.push(FeatureSpec { name: name.clone(), raw, levels: None, sentinels: Vec::new(), monotone: 0 });
        spec.raw_columns.push(name);
        let mut wider = Frame { spec: spec.into(), ..frame.clone() };
        wider.columns.push(Column::Number(autoencoder.predict(frame).unwrap().margins));
        wider
    }

    #[test]
    fn the_column_is_the_autoencoder_alone_and_finds_what_no_column_tells() {
        let (train, valid, test) = (rows(1500, 1), rows(500, 2), rows(1000, 3));
        let (params, sides) = (quick(), sides(&train));
        assert_eq!((sides.0.n_rows, sides.1.n_rows), (1286, 214));
        let model = params.fit_model(&train, &valid, &run()).unwrap();
        let alone = params.detector.0.fit_model(&sides.0, &sides.1, &run()).unwrap();
        assert_eq!(model.detector().save(), alone.save());
        let trees = params.boosting.fit_model(&wider(&train, &alone), &wider(&valid, &alone), &run()).unwrap();
        let scores = model.predict(&test).unwrap();
        assert_eq!(scores, trees.predict(&wider(&test, &alone)).unwrap());
        let plain = params.boosting.fit_model(&train, &valid, &run()).unwrap();
        let area = |margins: &[f64]| metric::area(margins, &test.target, &vec![1.0; 1000]);
        let (with, without) = (area(&scores.margins), area(&plain.predict(&test).unwrap().margins));
        assert!(with > without, "{with} with the score, {without} without");
        // What moved the trees by the score is told of the raw columns.
        let parts = model.attribute(&test, &statera_core::Background::default()).unwrap();
        assert_eq!(parts.n_raw, 7);
        for (row, margin) in scores.margins.iter().enumerate() {
            let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>();
            assert!((sum - margin).abs() < 1e-9, "row {row}: {sum}, margin {margin}");
        }
    }

    #[test]
    fn it_is_fitted_on_training_rows_alone_without_their_target() {
        let train = rows(700, 1);
        let detector =
            |train: &Frame, valid: &Frame| quick().fit_model(train, valid, &run()).unwrap().detector().save();
        let own = detector(&train, &rows(300, 2));
        assert_eq!(own, detector(&train, &rows(200, 9)), "the rows that judge");
        let target = train.target.iter().map(|y| 1.0 - y).collect();
        assert_eq!(own, detector(&Frame { target, ..train.clone() }, &rows(300, 2)), "the target");
        // Rows of weight 0 are no rows.
        let weight = Some((0..700).map(|row| f64::from(u8::from(row % 3 > 0))).collect());
        let kept: Vec<usize> = (0..700).filter(|row| row % 3 > 0).collect();
        let without = Frame { weight: Some(vec![1.0; kept.len()]), ..train.take(&kept) };
        assert_eq!(
            detector(&Frame { weight, ..train.clone() }, &Frame::default()),
            detector(&without, &Frame::default())
        );
    }

    #[test]
    fn a_refit_learns_all_rows_for_as_long_as_the_folds_did() {
        let (train, valid) = (rows(700, 1), rows(300, 2));
        let params = quick();
        let fold = params.fit_model(&train, &valid, &run()).unwrap();
        let refit = params.refit(&[&fold as &dyn Model]).fit(&train, &Frame::default(), &run()).unwrap();
        let refit: &BoostedModel = refit.as_any().downcast_ref().expect("of the same family");
        let epochs = params.detector.0.refit_params(&[fold.detector() as &dyn Model]);
        assert_eq!(epochs.train.patience, None);
        let alone = epochs.fit_model(&train, &Frame::default(), &run()).unwrap();
        assert_eq!(refit.detector().save(), alone.save());
    }

    #[test]
    fn returns_from_its_parts_and_refuses_damaged_ones() {
        let (train, valid) = (rows(400, 1), rows(200, 2));
        let model = quick().fit_model(&train, &valid, &run()).unwrap();
        let parts = model.save();
        assert_eq!(parts.json["family"], BOOSTED);
        let loaded = BoostedModel::load(&parts).unwrap();
        assert_eq!((loaded.save(), loaded.predict(&valid).unwrap()), (parts.clone(), model.predict(&valid).unwrap()));
        let check = |change: &dyn Fn(&mut Parts), expected: &str| {
            let mut damaged = parts.clone();
            change(&mut damaged);
            let message = BoostedModel::load(&damaged).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(message.contains(expected), "«{message}» does not contain «{expected}»");
        };
        let family = "the model is not of the family «boosting_autoencoder» with two parts";
        check(&|p| p.json["family"] = "boosting_isolation".into(), family);
        check(&|p| p.json["autoencoder"] = serde_json::Value::Null, "model.json: ");
        check(&|p| drop(p.tensors.remove("autoencoder.mean_error")), "no array «autoencoder.mean_error»");
        let other = "the trees do not read the columns of «autoencoder» and its score";
        check(&|p| p.json["autoencoder"]["input"]["spec"]["features"][0]["name"] = "another".into(), other);
        let mut infinite = train.clone();
        infinite.columns[1] = Column::Number(vec![f64::INFINITY; 400]);
        let message = quick().fit_model(&infinite, &valid, &run()).err().map(|e| e.to_string());
        let expected = "autoencoder: training rows: row 0, column «b»: inf; allowed: finite numbers";
        assert_eq!(message.as_deref(), Some(expected));
    }
}
