//! One loan application of the invented bank.
//!
//! A customer keeps sex, birth, education, region and three hidden traits (standing, discipline, and the stress of the
//! day) over all applications; the traits move income, debts and payment history together, which is what makes the
//! columns correlated. Sex and age move some columns mildly and enter the risk nowhere.

use statera_core::Rng;

/// Months that the applications span.
pub(super) const N_MONTHS: usize = 36;

/// Value of `months_since_delinquency` that means «never».
pub(super) const NEVER: u16 = 999;

pub(super) const REGIONS: [&str; 8] =
    ["Alder Coast", "Birchland", "Cedar Valley", "Dunmoor", "Eastmark", "Fenwick", "Greyport", "Highfield"];
pub(super) const EDUCATIONS: [&str; 4] = ["primary", "secondary", "bachelor", "master"];
pub(super) const EMPLOYMENTS: [&str; 6] =
    ["permanent", "temporary", "self-employed", "public service", "retired", "unemployed"];
pub(super) const HOUSINGS: [&str; 4] = ["own", "mortgage", "rent", "family"];
pub(super) const PURPOSES: [&str; 7] =
    ["car", "home improvement", "debt consolidation", "education", "medical", "holiday", "business"];
pub(super) const CHANNELS: [&str; 4] = ["branch", "web", "broker", "app"];
const TERMS: [u8; 7] = [12, 24, 36, 48, 60, 72, 84];

// Indices into the lists above, where the risk or another column depends on the level.
pub(super) const BIRCHLAND: u8 = 1;
pub(super) const FENWICK: u8 = 5;
pub(super) const TEMPORARY: u8 = 1;
pub(super) const SELF_EMPLOYED: u8 = 2;
pub(super) const RETIRED: u8 = 4;
pub(super) const UNEMPLOYED: u8 = 5;
pub(super) const OWN: u8 = 0;
pub(super) const MORTGAGE: u8 = 1;
pub(super) const RENT: u8 = 2;
pub(super) const HOME_IMPROVEMENT: u8 = 1;
pub(super) const DEBT_CONSOLIDATION: u8 = 2;
pub(super) const BUSINESS: u8 = 6;
pub(super) const BROKER: u8 = 2;
pub(super) const APP: u8 = 3;

/// An application as the bank could know it if no cell were missing, and which cells are.
#[derive(Debug, Clone)]
pub(super) struct Application {
    /// Place in the bank's three years, 0 to 1.
    pub time: f64,
    pub customer: usize,
    pub female: bool,
    pub age: u8,
    pub region: u8,
    pub education: u8,
    pub employment: u8,
    pub employment_years: f64,
    /// Money a month.
    pub income: f64,
    pub housing: u8,
    pub dependants: u8,
    pub requested_amount: f64,
    pub term_months: u8,
    pub purpose: u8,
    pub channel: u8,
    /// Months as a customer before the application; 0 is a new one.
    pub customer_months: u16,
    /// Service of present debts over income.
    pub debt_ratio: f64,
    /// Used share of the card's limit; `None` without a card.
    pub utilisation: Option<f64>,
    pub open_accounts: u8,
    pub history_months: u16,
    pub inquiries_6m: u8,
    pub delinquencies_24m: u8,
    /// [`NEVER`] if there was none.
    pub months_since_delinquency: u16,
    pub savings: f64,
    pub income_missing: bool,
    pub employment_years_missing: bool,
    pub savings_missing: bool,
    pub history_missing: bool,
}

impl Application {
    /// Instalment a month, at 7 % a year.
    pub fn instalment(&self) -> f64 {
        let rate = 0.07 / 12.0;
        self.requested_amount * rate / (1.0 - (1.0 + rate).powi(-i32::from(self.term_months)))
    }

    /// Old and new debts a month over income.
    pub fn burden(&self) -> f64 {
        self.debt_ratio + self.instalment() / self.income
    }
}

/// What a customer keeps.
struct Customer {
    female: bool,
    age_at_start: f64,
    region: u8,
    education: u8,
    standing: f64,
    discipline: f64,
}

fn customer(seed: u64, customer: usize) -> Customer {
    let mut rng = Rng::fork(seed ^ 0x5bd1_e995_c0de_0001, customer as u64);
    let standing = rng.normal();
    let discipline = 0.25 * standing + 0.968 * rng.normal();
    let female = rng.uniform() < 0.48;
    let mut age = 40.0 + 11.5 * rng.normal();
    // Reflected into the permitted range, which keeps the distribution smooth at its ends.
    if age < 21.0 {
        age = 42.0 - age;
    }
    let region = pick(&mut rng, &[0.20, 0.12, 0.16, 0.08, 0.14, 0.10, 0.13, 0.07]);
    let school = 0.7 * standing + 0.7 * rng.normal();
    let education = [-0.9, 0.4, 1.2].iter().filter(|&&cut| school > cut).count() as u8;
    Customer { female, age_at_start: age.clamp(20.0, 70.0), region, education, standing, discipline }
}

/// The application at `row` of a bank with `n_rows` of them. Independent of every other row, so that blocks of rows can
/// be drawn by any number of threads.
pub(super) fn draw(seed: u64, row: usize, n_rows: usize) -> Application {
    let mut rng = Rng::fork(seed, row as u64);
    // Applications grow by half over the three years: density 0.8 + 0.4 t, inverted.
    let share = (row as f64 + 0.5) / n_rows as f64;
    let time = ((0.64 + 0.8 * share).sqrt() - 0.8) / 0.4;
    // Some customers come back.
    let id = rng.below((n_rows * 17 / 20).max(1));
    let who = customer(seed, id);
    // Stress grows over the years: the drift of the bank's population.
    let stress = rng.normal() + 0.35 * time;
    let age = (who.age_at_start + 3.0 * time).min(75.0);

    let employment = draw_employment(&mut rng, &who, age);
    let employment_years = draw_employment_years(&mut rng, &who, age, employment);
    let income = draw_income(&mut rng, &who, age, employment, time);
    let housing = draw_housing(&mut rng, &who, age);
    let dependants = poisson(&mut rng, if age < 28.0 { 0.4 } else { 1.1 }, 5);
    let channel =
        pick(&mut rng, &[0.42 - 0.17 * time, 0.25, 0.15, (0.08 + 0.22 * time) * if age < 40.0 { 1.4 } else { 0.8 }]);
    let purpose = pick(&mut rng, &[0.24, 0.17, 0.22 + 0.05 * stress.clamp(-2.0, 2.0), 0.09, 0.08, 0.10, 0.10]);
    let (requested_amount, term_months) = draw_loan(&mut rng, income, purpose, stress);
    let customer_months = draw_customer_months(&mut rng, channel);
    let debt_ratio = 0.75 * logistic(-1.35 + 0.55 * stress - 0.2 * who.standing + 0.55 * rng.normal());
    let card = rng.uniform() < logistic(1.4 + 0.5 * who.standing);
    let used = logistic(-0.75 - 0.75 * who.discipline + 0.55 * stress + 0.8 * rng.normal()) * 1.06;
    let open_accounts = 1 + poisson(&mut rng, (0.9 + 0.25 * stress + 0.15 * who.standing).exp(), 18);
    let history_months = draw_history(&mut rng, age);
    let broker = if channel == BROKER { 0.3 } else { 0.0 };
    let inquiries_6m = poisson(&mut rng, (-0.25 + 0.45 * stress - 0.2 * who.discipline + broker).exp(), 12);
    let delinquencies_24m = poisson(&mut rng, (-1.75 - 0.85 * who.discipline + 0.25 * stress).exp(), 9);
    let months_since_delinquency = draw_recency(&mut rng, delinquencies_24m);
    let savings = draw_savings(&mut rng, &who);

    let income_hidden = if employment == SELF_EMPLOYED { 0.22 } else { 0.03 };
    Application {
        time,
        customer: id,
        female: who.female,
        age: age as u8,
        region: who.region,
        education: who.education,
        employment,
        employment_years,
        income,
        housing,
        dependants,
        requested_amount,
        term_months,
        purpose,
        channel,
        customer_months,
        debt_ratio: (debt_ratio * 1e3).round() / 1e3,
        utilisation: card.then(|| (used * 1e3).round() / 1e3),
        open_accounts,
        history_months,
        inquiries_6m,
        delinquencies_24m,
        months_since_delinquency,
        savings,
        income_missing: rng.uniform() < income_hidden,
        employment_years_missing: rng.uniform() < 0.03,
        savings_missing: rng.uniform() < 0.08,
        // The app forgets to ask for it since its last release.
        history_missing: rng.uniform() < if channel == APP && time > 0.75 { 0.25 } else { 0.01 },
    }
}

fn draw_employment(rng: &mut Rng, who: &Customer, age: f64) -> u8 {
    let u = rng.uniform();
    if age > 64.0 && u < 0.8 {
        return RETIRED;
    }
    let temporary = 0.16 * (-0.5 * who.standing).exp() * if age < 30.0 { 1.5 } else { 0.9 };
    let public = if who.female { 0.17 } else { 0.12 };
    let unemployed = 0.03 * (-0.6 * who.standing).exp();
    let free = if who.female { 0.10 } else { 0.14 };
    pick(rng, &[0.52, temporary.min(0.5), free, public, 0.0, unemployed.min(0.2)])
}

fn draw_employment_years(rng: &mut Rng, who: &Customer, age: f64, employment: u8) -> f64 {
    let career = (age - 19.0).max(1.0);
    let mean = match employment {
        UNEMPLOYED => return 0.0,
        TEMPORARY => 1.6,
        RETIRED => return 0.0,
        SELF_EMPLOYED => 5.5,
        _ => 7.5,
    };
    let pause = if who.female { 0.9 } else { 1.0 };
    let years: f64 = -mean * pause * (1.0 - rng.uniform()).ln();
    (years.min(career) * 10.0).round() / 10.0
}

fn draw_income(rng: &mut Rng, who: &Customer, age: f64, employment: u8, time: f64) -> f64 {
    let work = match employment {
        TEMPORARY => -0.22,
        SELF_EMPLOYED => 0.08,
        RETIRED => -0.30,
        UNEMPLOYED => -0.75,
        _ => 0.0,
    };
    let spread = if employment == SELF_EMPLOYED { 0.38 } else { 0.20 };
    let log = 7.72
        + 0.26 * who.standing
        + 0.10 * f64::from(who.education)
        + 0.008 * (age.min(50.0) - 38.0)
        + work
        + if who.female { -0.08 } else { 0.0 }
        + 0.08 * time
        + spread * rng.normal();
    (log.exp() / 10.0).round().max(45.0) * 10.0
}

fn draw_housing(rng: &mut Rng, who: &Customer, age: f64) -> u8 {
    let settled = logistic((age - 42.0) / 8.0 + 0.4 * who.standing);
    pick(rng, &[0.10 + 0.35 * settled, 0.08 + 0.22 * settled, 0.62 - 0.38 * settled, 0.20 * (1.0 - settled)])
}

fn draw_loan(rng: &mut Rng, income: f64, purpose: u8, stress: f64) -> (f64, u8) {
    let size = [0.25, 0.35, 0.20, -0.20, -0.35, -0.60, 0.40][purpose as usize];
    let log = 8.85 + size + 0.65 * (income / 2700.0).ln() + 0.06 * stress + 0.55 * rng.normal();
    let amount = (log.exp() / 100.0).round().clamp(5.0, 750.0) * 100.0;
    let steps = ((amount / 2500.0).ln() * 1.5 + 0.9 + 0.9 * rng.normal()).round().clamp(0.0, 6.0);
    (amount, TERMS[steps as usize])
}

fn draw_customer_months(rng: &mut Rng, channel: u8) -> u16 {
    let new = if channel == BROKER { 0.7 } else { 0.3 };
    if rng.uniform() < new { 0 } else { (1.0 - 45.0 * (1.0 - rng.uniform()).ln()).min(300.0) as u16 }
}

fn draw_history(rng: &mut Rng, age: f64) -> u16 {
    let most = (age - 18.0) * 12.0;
    (most * (0.1 + 0.8 * rng.uniform().powf(1.3))).max(1.0) as u16
}

fn draw_recency(rng: &mut Rng, delinquencies_24m: u8) -> u16 {
    if delinquencies_24m > 0 {
        // The latest of several lies nearer.
        (24.0 * rng.uniform().powf(f64::from(delinquencies_24m).sqrt())) as u16
    } else if rng.uniform() < 0.14 {
        24 + rng.below(73) as u16
    } else {
        NEVER
    }
}

fn draw_savings(rng: &mut Rng, who: &Customer) -> f64 {
    if rng.uniform() < 0.12 {
        return 0.0;
    }
    ((7.3 + 0.55 * who.standing + 0.45 * who.discipline + 1.1 * rng.normal()).exp() / 10.0).round() * 10.0
}

/// 1 / (1 + e^-x).
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// An index with probability proportional to its weight.
fn pick(rng: &mut Rng, weights: &[f64]) -> u8 {
    let mut left = rng.uniform() * weights.iter().sum::<f64>();
    for (i, w) in weights.iter().enumerate() {
        left -= w;
        if left < 0.0 {
            return i as u8;
        }
    }
    0
}

/// A Poisson count by inversion, at most `most`.
fn poisson(rng: &mut Rng, mean: f64, most: u8) -> u8 {
    let u = rng.uniform();
    let (mut term, mut count) = ((-mean).exp(), 0);
    let mut cumulative = term;
    while u > cumulative && count < most {
        count += 1;
        term *= mean / f64::from(count);
        cumulative += term;
    }
    count
}
