//! Against scikit-learn and SciPy, finite differences, and the properties every learner has.

use super::objective::Curvature;
use super::*;
use statera_core::{Background, FeatureSpec, FrameSpec, Matrix, Parts, Rng, Scores, TensorData};

/// A linear congruential generator that Python repeats in one line: multiples of 1/64 in [-2, 2].
fn congruential(n: usize, seed: u64) -> Vec<f64> {
    let mut s = seed;
    let mut next = || {
        s = (s * 1_103_515_245 + 12_345) % (1 << 31);
        ((s >> 16) % 257) as f64 / 64.0 - 2.0
    };
    (0..n).map(|_| next()).collect()
}

fn spec(n_cols: usize, monotone: &[i8]) -> FrameSpec {
    let feature = |j: usize| FeatureSpec {
        name: format!("x{j}"),
        raw: j / 2,
        levels: None,
        sentinels: vec![],
        monotone: monotone.get(j).copied().unwrap_or(0),
    };
    let raw_columns = (0..n_cols.div_ceil(2)).map(|r| format!("raw{r}")).collect();
    FrameSpec { features: (0..n_cols).map(feature).collect(), raw_columns }
}

fn frame(x: &[f64], n_cols: usize, target: Vec<f64>) -> Frame {
    Frame {
        spec: spec(n_cols, &[]).into(),
        n_rows: target.len(),
        dense: Matrix { data: x.iter().map(|v| *v as f32).collect(), n_cols },
        target,
        ..Frame::default()
    }
}

/// Sixty rows of three columns and a noisy linear target, the same as in the Python code that gave the numbers below:
/// `lin = X @ [1, -.5, .25] + .3 + noise`.
fn sixty(task: Task) -> Frame {
    let (x, noise) = (congruential(180, 7), congruential(60, 99));
    let value = |i: usize| x[3 * i] - 0.5 * x[3 * i + 1] + 0.25 * x[3 * i + 2] + 0.3 + noise[i];
    let target = (0..60).map(value).map(|v| match task {
        Task::Binary => f64::from(u8::from(v > 0.0)),
        Task::Classes(_) => f64::from(u8::from(v > -1.0) + u8::from(v > 1.0)),
        Task::Regression => v,
    });
    frame(&x, 3, target.collect())
}

fn with_weights(frame: Frame) -> Frame {
    let weight = Some((0..frame.n_rows).map(|i| 1.0 + (i % 3) as f64).collect());
    Frame { weight, ..frame }
}

fn with_signs(frame: Frame, signs: &[i8]) -> Frame {
    Frame { spec: spec(frame.dense.n_cols, signs).into(), ..frame }
}

/// More rows than a block of sums holds, from a known model with noise.
fn many(task: Task, n_rows: usize, n_cols: usize) -> Frame {
    let mut rng = Rng::new(5);
    let x: Vec<f64> = (0..n_rows * n_cols).map(|_| rng.normal()).collect();
    let target = (0..n_rows).map(|i| {
        let row = &x[i * n_cols..][..n_cols];
        let v = row.iter().enumerate().map(|(j, v)| v / (1.0 + j as f64)).sum::<f64>() + 1.5 * rng.normal();
        match task {
            Task::Binary => f64::from(u8::from(v > 1.0)),
            Task::Classes(k) => (v + k as f64 / 2.0).floor().clamp(0.0, k as f64 - 1.0),
            Task::Regression => 1e6 + 1e4 * v,
        }
    });
    let target: Vec<f64> = target.collect();
    frame(&x, n_cols, target)
}

fn fit(params: &LinearParams, train: &Frame) -> LinearModel {
    fit_with(params, train, &Frame::default()).expect("the fit succeeds")
}

fn fit_with(params: &LinearParams, train: &Frame, valid: &Frame) -> Result<LinearModel> {
    let model = params.fit(train, valid, &Run::new(1, 2))?;
    Ok(model.as_any().downcast_ref::<LinearModel>().expect("a linear model").clone())
}

fn params(task: Task, l2: f64) -> LinearParams {
    LinearParams { task, l2: Some(l2), ..LinearParams::default() }
}

fn check_numbers(model: &LinearModel, coefficients: &[f64], intercepts: &[f64], tolerance: f64) {
    let outputs = model.intercepts().len();
    let got: Vec<f64> = (0..outputs).flat_map(|o| model.coefficients(o).to_vec()).collect();
    assert_eq!((got.len(), outputs), (coefficients.len(), intercepts.len()));
    for (got, expected) in got.iter().zip(coefficients).chain(model.intercepts().iter().zip(intercepts)) {
        assert!((got - expected).abs() <= tolerance, "{got} is not {expected}: {got:?}");
    }
}

fn bits(scores: &Scores) -> Vec<u64> {
    scores.margins.iter().map(|m| m.to_bits()).collect()
}

#[test]
fn coefficients_are_those_of_scikit_learn() {
    // scikit-learn 1.9.1: LogisticRegression (newton-cholesky; lbfgs for three classes; saga for l1) and Ridge.
    let (binary, weighted) = (sixty(Task::Binary), with_weights(sixty(Task::Binary)));
    let model = fit(&params(Task::Binary, 1.0), &binary);
    let expected = [1.1785116965457751, -0.3494406640587549, 0.5982562902767066];
    check_numbers(&model, &expected, &[-0.28278529928320595], 1e-6);
    let model = fit(&params(Task::Binary, 10.0), &binary);
    let expected = [0.6382232972045985, -0.22103560731938926, 0.3122393490949332];
    check_numbers(&model, &expected, &[-0.27027685970411547], 1e-6);
    let model = fit(&params(Task::Binary, 2.0), &weighted);
    let expected = [1.2719578568963577, -0.2732431127700761, 0.8086220676360824];
    check_numbers(&model, &expected, &[-0.5327026213698995], 1e-6);

    let model = fit(&params(Task::Classes(3), 1.0), &sixty(Task::Classes(3)));
    let expected = [
        [-1.5526965720221872, 0.3233135040339623, -0.4683107553983573],
        [-0.082870717020191, -0.03896156836341972, -0.10663903738971516],
        [1.6355672890423791, -0.2843519356705426, 0.5749497927880723],
    ];
    let intercepts = [-0.3449932625441939, 0.8548014295345309, -0.5098081669903369];
    check_numbers(&model, expected.as_flattened(), &intercepts, 1e-6);

    let model = fit(&params(Task::Regression, 2.0), &sixty(Task::Regression));
    let expected = [1.0345589311911927, -0.19005384703743258, 0.34493245707302383];
    check_numbers(&model, &expected, &[0.01705278679492183], 1e-9);
    let model = fit(&params(Task::Regression, 2.0), &with_weights(sixty(Task::Regression)));
    let expected = [1.021080319550852, -0.14660958911062505, 0.3718009567460356];
    check_numbers(&model, &expected, &[-0.030007578373339713], 1e-9);
}

#[test]
fn absolute_penalties_are_those_of_scikit_learn() {
    let elastic = |task, l2, l1| LinearParams { l1, ..params(task, l2) };
    let model = fit(&elastic(Task::Binary, 0.0, 4.0), &sixty(Task::Binary));
    let expected = [0.8055486471370832, -0.12629173500927798, 0.306557998355704];
    check_numbers(&model, &expected, &[-0.267321533638479], 1e-6);
    let model = fit(&elastic(Task::Binary, 2.0, 6.0), &sixty(Task::Binary));
    let expected = [0.5525296989464284, -0.03083140199541598, 0.15072939507837838];
    check_numbers(&model, &expected, &[-0.25796759796764224], 1e-6);
    let model = fit(&elastic(Task::Regression, 2.0, 6.0), &sixty(Task::Regression));
    let expected = [0.9477837075395508, -0.12932720488779778, 0.27545571465519686];
    check_numbers(&model, &expected, &[0.015925840857650336], 1e-6);
    // A penalty above the largest slope leaves no coefficient.
    let model = fit(&elastic(Task::Binary, 0.0, 100.0), &sixty(Task::Binary));
    assert_eq!(model.coefficients(0), [0.0; 3]);
    assert_eq!(model.describe()[0].1, "0 of 3 not zero");
}

#[test]
fn signs_are_kept_and_the_rest_is_optimal() {
    // SciPy 1.17.1: minimize(method="L-BFGS-B") with bounds, l2 = 1.
    let check = |signs: [i8; 3], expected: [f64; 3], intercept: f64| {
        let model = fit(&params(Task::Binary, 1.0), &with_signs(sixty(Task::Binary), &signs));
        check_numbers(&model, &expected, &[intercept], 1e-6);
    };
    check([-1, 1, 0], [0.0, 0.0, 0.41192302556835264], -0.361708138162388);
    check([1, 1, 1], [1.1679118945570475, 0.0, 0.641782462928122], -0.33917576152712886);
    // Signs that hold anyway change nothing.
    check([1, -1, 1], [1.1785116965457751, -0.3494406640587549, 0.5982562902767066], -0.28278529928320595);
    let model = fit(&params(Task::Regression, 2.0), &with_signs(sixty(Task::Regression), &[0, 1, 0]));
    assert_eq!(model.coefficients(0)[1], 0.0);
}

#[test]
fn derivatives_agree_with_finite_differences_and_products() {
    for task in [Task::Binary, Task::Classes(3), Task::Regression] {
        let train = with_weights(sixty(task));
        let mut objective = Objective::new(task, &train);
        objective.l2 = 0.7;
        let n = objective.n_parameters();
        let at: Vec<f64> = (0..n).map(|j| 0.3 - 0.1 * j as f64).collect();
        let here = objective.evaluate(&at);
        let Curvature::Dense(hessian) = &here.curvature else { panic!("few parameters have a Hessian") };
        let Curvature::Rows(rows) = objective.evaluate_as(&at, false).curvature else { panic!("rows were asked for") };
        let diagonal = objective.hessian_diagonal(&rows);
        let step = 1e-5;
        for j in 0..n {
            let shifted = |by: f64| {
                let mut p = at.clone();
                p[j] += by;
                objective.evaluate(&p)
            };
            let (up, down) = (shifted(step), shifted(-step));
            let slope = (up.value - down.value) / (2.0 * step);
            assert!((slope - here.gradient[j]).abs() < 1e-5 * (1.0 + slope.abs()), "{task:?}, gradient {j}");
            let unit: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == j))).collect();
            let product = objective.hessian_times(&rows, &unit);
            assert!((product[j] - diagonal[j]).abs() < 1e-10 * diagonal[j], "{task:?}, diagonal {j}");
            for i in 0..n {
                let bend = (up.gradient[i] - down.gradient[i]) / (2.0 * step);
                assert!((bend - product[i]).abs() < 1e-4 * (1.0 + bend.abs()), "{task:?}, product {i}, {j}");
                // The formed Hessian of softmax has one direction more, in which all intercepts rise together.
                let extra = match task {
                    Task::Classes(k) if i % 4 == 3 && j % 4 == 3 => objective.total_weight() / (k * k) as f64,
                    _ => 0.0,
                };
                let formed = hessian[i.max(j) * n + i.min(j)] - extra;
                assert!((bend - formed).abs() < 1e-4 * (1.0 + bend.abs()), "{task:?}, Hessian {i}, {j}");
            }
        }
    }
}

#[test]
fn weight_two_is_the_row_twice_and_weight_zero_no_row() {
    for task in [Task::Binary, Task::Classes(3), Task::Regression] {
        let plain = sixty(task);
        let weights: Vec<f64> = (0..60).map(|i| (i % 3) as f64).collect();
        let repeated: Vec<usize> = (0..60).flat_map(|i| std::iter::repeat_n(i, i % 3)).collect();
        // Also where the strength is chosen by AIC.
        for l2 in [Some(1.0), None] {
            let params = LinearParams { task, l2, ..LinearParams::default() };
            let weighted = fit(&params, &Frame { weight: Some(weights.clone()), ..plain.clone() });
            let repeated = fit(&params, &plain.take(&repeated));
            assert_eq!(weighted.l2(), repeated.l2());
            let expected: Vec<f64> = (0..task.n_outputs()).flat_map(|o| repeated.coefficients(o).to_vec()).collect();
            check_numbers(&weighted, &expected, repeated.intercepts(), 1e-9);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_batches() {
    for task in [Task::Binary, Task::Classes(4), Task::Regression] {
        let train = many(task, 6000, 11);
        let fitted = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let model = fit(&params(task, 1.0), &train);
                let scores = bits(&model.predict(&train).expect("scores"));
                (model.save(), scores)
            })
        };
        let (one, four) = (fitted(1), fitted(4));
        assert!(one == four, "{task:?}");
        let model = LinearModel::load(&one.0).expect("the saved model loads");
        for batch in [1, 7, 1000] {
            let rows: Vec<usize> = (0..6000).collect();
            let scores = rows.chunks(batch).flat_map(|rows| bits(&model.predict(&train.take(rows)).expect("scores")));
            assert!(scores.collect::<Vec<_>>() == one.1, "{task:?} in batches of {batch}");
        }
    }
}

#[test]
fn attributions_are_zero_at_the_mean_and_sum_to_the_margin() {
    for task in [Task::Binary, Task::Classes(3), Task::Regression] {
        let train = with_weights(sixty(task));
        let model = fit(&params(task, 1.0), &train);
        let scores = model.predict(&train).expect("scores");
        let attributions = model.attribute(&train, &Background::default()).expect("attributions");
        assert_eq!((attributions.n_raw, attributions.n_outputs), (2, task.n_outputs()));
        let mut sums = vec![0.0; 2 * task.n_outputs()];
        for i in 0..60 {
            for o in 0..task.n_outputs() {
                let values = attributions.of(i, o);
                let margin = attributions.base[o] + values.iter().sum::<f64>();
                assert!((margin - scores.row(i)[o]).abs() < 1e-13, "{task:?}, row {i}");
                sums[2 * o] += train.weight_of(i) * values[0];
                sums[2 * o + 1] += train.weight_of(i) * values[1];
                // The first raw column is the first two features.
                let by_hand: f64 = (0..2)
                    .map(|j| model.coefficients(o)[j] * (f64::from(train.dense.row(i)[j]) - model.means()[j]))
                    .sum();
                assert!((values[0] - by_hand).abs() < 1e-15);
            }
        }
        assert!(sums.iter().all(|s| s.abs() < 1e-11), "{task:?}: contributions average to zero, not {sums:?}");
    }
}

#[test]
fn saved_models_load_to_the_same_bytes() {
    for task in [Task::Binary, Task::Classes(3), Task::Regression] {
        let model = fit(&params(task, 0.1), &with_signs(sixty(task), &[0]));
        let parts = model.save();
        let text = serde_json::to_string(&parts.json).expect("JSON");
        let read = Parts { json: serde_json::from_str(&text).expect("JSON"), ..parts.clone() };
        let loaded = LinearModel::load(&read).expect("the saved model loads");
        assert_eq!(loaded, model);
        assert_eq!(loaded.save(), parts);
    }
}

#[test]
fn damaged_parts_are_refused() {
    let good = fit(&params(Task::Binary, 1.0), &sixty(Task::Binary)).save();
    let check = |change: &dyn Fn(&mut Parts), expected: &str| {
        let mut parts = good.clone();
        change(&mut parts);
        let error = LinearModel::load(&parts).expect_err("damaged parts are refused");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let vector = |v: Vec<f64>| statera_core::Tensor::vector(TensorData::F64(v));
    check(&|p| p.json["surprise"] = 1.into(), "model.json: unknown field `surprise`");
    check(&|p| p.json["spec"]["features"][2]["raw"] = 9.into(), "feature «x2» is of raw column 9; there are 2");
    check(&|p| drop(p.tensors.remove("means")), "no array «means» of 64-bit floats");
    check(&|p| drop(p.tensors.insert("means".into(), vector(vec![0.0; 2]))), "«means» has 2 numbers, not 3");
    check(&|p| drop(p.tensors.insert("intercepts".into(), vector(vec![f64::NAN]))), "«intercepts» holds NaN");
}

#[test]
fn the_strength_is_chosen_on_validation_rows() {
    // Forty columns of noise and two of signal in few rows: the strongest signal for a penalty.
    let (mut rng, n_cols) = (Rng::new(3), 42);
    let mut draw = |n_rows: usize| {
        let x: Vec<f64> = (0..n_rows * n_cols).map(|_| rng.normal()).collect();
        let p = |i: usize| 1.0 / (1.0 + (-x[i * n_cols] + x[i * n_cols + 1]).exp());
        let target = (0..n_rows).map(|i| f64::from(u8::from(rng.uniform() < p(i)))).collect();
        frame(&x, n_cols, target)
    };
    let (train, valid) = (draw(150), draw(2000));
    let chosen = fit_with(&LinearParams::default(), &train, &valid).expect("the fit succeeds");
    let loss = |l2: f64| {
        let model = fit(&params(Task::Binary, l2), &train);
        let scores = model.predict(&valid).expect("scores");
        let loss = |(m, y): (&f64, &f64)| (1.0 + m.exp()).ln() - y * m;
        scores.margins.iter().zip(&valid.target).map(loss).sum::<f64>()
    };
    let best = PATH.into_iter().min_by(|a, b| loss(*a).total_cmp(&loss(*b))).expect("a path");
    assert_eq!(chosen.l2(), best);
    assert!(best > 1.0 && best < 1000.0, "noise asks for a penalty, signal for a finite one: {best}");
    // The path is warm-started, but ends where a fit from the start ends.
    let direct = fit(&params(Task::Binary, best), &train);
    check_numbers(&chosen, direct.coefficients(0), direct.intercepts(), 1e-6);

    let folds: Vec<Box<dyn Model>> =
        [0.3, 100.0, 3.0, 3.0, 1.0].map(|l2| Box::new(fit(&params(Task::Binary, l2), &train)) as Box<dyn Model>).into();
    let refitted = LinearParams::default().refit(&folds.iter().map(|m| &**m).collect::<Vec<_>>()).fit(
        &train,
        &Frame::default(),
        &Run::new(1, 1),
    );
    let refitted = refitted.expect("the refit succeeds");
    assert_eq!(refitted.as_any().downcast_ref::<LinearModel>().map(LinearModel::l2), Some(3.0));
}

#[test]
fn singular_designs_converge() {
    // One-hot with all levels, a repeated column, a constant one and one of zeros.
    let levels: Vec<usize> = (0..300).map(|i| (i * i + i / 7) % 3).collect();
    let row = |l: &usize| {
        let hot = |k: usize| f64::from(u8::from(*l == k));
        [hot(0), hot(1), hot(2), hot(0), 1.0, 0.0]
    };
    let x: Vec<f64> = levels.iter().flat_map(row).collect();
    let target: Vec<f64> = levels.iter().enumerate().map(|(i, l)| f64::from(u8::from(i % (3 + l) == 0))).collect();
    let train = frame(&x, 6, target.clone());
    let share = |k: usize| {
        let rows: Vec<f64> = (0..300).filter(|&i| levels[i] == k).map(|i| target[i]).collect();
        rows.iter().sum::<f64>() / rows.len() as f64
    };
    for l2 in [0.0, 1e-6, 1.0] {
        let model = fit(&params(Task::Binary, l2), &train);
        assert!(model.coefficients(0).iter().all(|b| b.is_finite() && b.abs() < 10.0), "{:?}", model.coefficients(0));
        if l2 < 1e-3 {
            // Without a penalty, a saturated model gives each level its own share.
            let scores = model.predict(&train).expect("scores");
            for (i, level) in levels.iter().enumerate() {
                let p = 1.0 / (1.0 + (-scores.row(i)[0]).exp());
                assert!((p - share(*level)).abs() < 1e-6, "level {level}: {p}");
            }
        }
        for task in [Task::Classes(3), Task::Regression] {
            let model = fit(&params(task, l2), &train);
            assert!(model.coefficients(0).iter().all(|b| b.is_finite() && b.abs() < 1e3));
        }
        let signed = fit(&params(Task::Binary, l2), &with_signs(train.clone(), &[1, 1, -1, 1, 0, 1]));
        assert!(signed.coefficients(0)[0] >= 0.0 && signed.coefficients(0)[2] <= 0.0);
    }
}

#[test]
fn separated_classes_and_absent_ones_converge() {
    let x: Vec<f64> = (0..40).map(|i| i as f64 / 20.0 - 0.975).collect();
    let target: Vec<f64> = x.iter().map(|v| f64::from(u8::from(*v > 0.0))).collect();
    let train = frame(&x, 1, target);
    let mut last = 0.0;
    for l2 in [1.0, 0.01, 1e-6] {
        let model = fit(&params(Task::Binary, l2), &train);
        assert!(model.coefficients(0)[0] > last && model.coefficients(0)[0].is_finite());
        last = model.coefficients(0)[0];
    }
    // A fold without the third class: it gets a low margin.
    let model = fit(&params(Task::Classes(3), 1.0), &train);
    let scores = model.predict(&train).expect("scores");
    assert!((0..40).all(|i| scores.row(i)[2] < scores.row(i)[0].max(scores.row(i)[1]) - 4.0));
}

#[test]
fn a_constant_target_or_no_columns_leave_the_intercept() {
    let train = frame(&congruential(40, 3), 2, vec![7.5; 20]);
    let model = fit(&params(Task::Regression, 1.0), &train);
    check_numbers(&model, &[0.0, 0.0], &[7.5], 1e-12);
    let train = frame(&[], 0, vec![0.0, 1.0, 1.0, 1.0]);
    let model = fit(&LinearParams::default(), &train);
    check_numbers(&model, &[], &[3f64.ln()], 1e-9);
    assert_eq!(model.predict(&train).expect("scores").n_rows(), 4);
    let attributions = model.attribute(&train, &Background::default()).expect("attributions");
    assert_eq!((attributions.base.as_slice(), attributions.values.len()), (model.intercepts(), 0));
}

#[test]
fn wide_models_reach_the_same_minimum_without_a_hessian() {
    for task in [Task::Binary, Task::Classes(3), Task::Regression] {
        let train = many(task, 2000, 30);
        let narrow = fit(&params(task, 3.0), &train);
        // Twenty times each column: the same predictions as one column with a penalty of a twentieth.
        let n_cols = 600;
        let x: Vec<f64> = train.dense.data.chunks(30).flat_map(|r| r.repeat(20)).map(f64::from).collect();
        let wide_train = frame(&x, n_cols, train.target.clone());
        assert!(!Objective::new(task, &wide_train).has_dense_hessian());
        let wide = fit(&params(task, 60.0), &wide_train);
        let (a, b) = (narrow.predict(&train).expect("scores"), wide.predict(&wide_train).expect("scores"));
        let scale = if task == Task::Regression { 1e4 } else { 1.0 };
        for (a, b) in a.margins.iter().zip(&b.margins) {
            assert!((a - b).abs() < 1e-6 * scale, "{task:?}: {a} and {b}");
        }
    }
}

#[test]
fn impossible_requests_are_refused() {
    let check = |params: LinearParams, train: &Frame, expected: &str| {
        let error = fit_with(&params, train, &Frame::default()).expect_err("the fit is refused").to_string();
        assert!(error.contains(expected), "«{error}» has no «{expected}»");
    };
    let (default, train) = (LinearParams::default, sixty(Task::Binary));
    check(LinearParams { l2: Some(-1.0), ..default() }, &train, "l2 is -1; allowed: 0 and above");
    check(LinearParams { l1: f64::NAN, ..default() }, &train, "l1 is NaN; allowed: 0 and above");
    check(
        LinearParams { l1: 1.0, task: Task::Classes(3), ..default() },
        &sixty(Task::Classes(3)),
        "l1 is 1; allowed for more than two classes: 0",
    );
    check(LinearParams { tolerance: 0.0, ..default() }, &train, "tolerance is 0; allowed: above 0 and below 1");
    check(LinearParams { max_iterations: 0, ..default() }, &train, "max_iterations is 0; allowed: 1 and above");
    check(
        LinearParams { max_iterations: 1, ..params(Task::Binary, 1.0) },
        &train,
        "did not converge in 1 steps at l2 = 1; raise l2 or max_iterations",
    );
    check(
        params(Task::Classes(3), 1.0),
        &with_signs(sixty(Task::Classes(3)), &[0, 1]),
        "column «x1» must be monotone, which has no meaning for the 3 margins of 3 classes",
    );
    let changed = |change: &dyn Fn(&mut Frame)| {
        let mut frame = sixty(Task::Binary);
        change(&mut frame);
        frame
    };
    check(default(), &changed(&|f| f.target[4] = 2.0), "training rows: row 4: target 2; allowed: 0 or 1");
    check(params(Task::Classes(3), 1.0), &changed(&|f| f.target[4] = 3.0), "row 4: target 3; allowed: 0 to 2");
    check(params(Task::Regression, 1.0), &changed(&|f| f.target[0] = f64::NAN), "target NaN; allowed: finite numbers");
    check(default(), &changed(&|f| f.dense.data[7] = f32::INFINITY), "row 2, column «x1»: inf; allowed: finite");
    check(default(), &changed(&|f| f.target.fill(1.0)), "the target is 1 in all training rows with a weight above 0");
    check(
        default(),
        &changed(&|f| f.weight = Some(vec![0.0; 60])),
        "none of the 60 training rows has a weight above 0",
    );
    check(default(), &changed(&|f| f.weight = Some(vec![-2.0; 60])), "row 0: weight -2; allowed: 0 and above");
    check(default(), &changed(&|f| f.target.truncate(59)), "are needed for each of the 60 rows");
    check(default(), &changed(&|f| f.dense = Matrix::default()), "a dense frame of 60 × 3 cells is needed");
}

#[test]
fn other_columns_are_refused() {
    let model = fit(&params(Task::Binary, 1.0), &sixty(Task::Binary));
    let check = |frame: &Frame, expected: &str| {
        let error = model.predict(frame).expect_err("other columns are refused").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(model.attribute(frame, &Background::default()).is_err());
    };
    check(&frame(&[0.0; 4], 2, vec![0.0; 2]), "the model has 3 columns, the data 2");
    let mut renamed = sixty(Task::Binary);
    let mut other = spec(3, &[]);
    other.features[1].name = "income".into();
    renamed.spec = other.into();
    check(&renamed, "column 1 is «x1» in the model and «income» in the data");
    check(&Frame { dense: Matrix::default(), ..sixty(Task::Binary) }, "a dense frame of 60 × 3 cells is needed");
}

#[test]
fn interruption_ends_the_fit() {
    let run = Run::new(1, 1);
    run.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    let result = LinearParams::default().fit(&sixty(Task::Binary), &Frame::default(), &run);
    assert!(result.is_err_and(|e| e.is_cancelled()));
}
