-- A case is named by the decision that opened it. Programs before this one do not know the records of steps on cases: the
-- first step raises min_program.
CREATE TABLE alert (id BLOB PRIMARY KEY, model TEXT NOT NULL, card BLOB NOT NULL, opened_us INTEGER NOT NULL, last_us INTEGER NOT NULL, risk INTEGER NOT NULL, n_waiting INTEGER NOT NULL, assigned TEXT, verdict TEXT, closed_us INTEGER, steps INTEGER NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX alert_open ON alert (model, card) WHERE closed_us IS NULL;
CREATE INDEX alert_risk ON alert (risk DESC, id) WHERE closed_us IS NULL;
CREATE INDEX alert_card ON alert (card);
CREATE INDEX alert_opened ON alert (opened_us);
CREATE INDEX alert_closed ON alert (closed_us) WHERE closed_us IS NOT NULL;
CREATE TABLE suspect (record BLOB PRIMARY KEY, of_alert BLOB NOT NULL, risk INTEGER NOT NULL, answered INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX suspect_alert ON suspect (of_alert);
CREATE TABLE alert_key (value BLOB NOT NULL, of_alert BLOB NOT NULL, name TEXT NOT NULL, PRIMARY KEY (value, of_alert)) WITHOUT ROWID;
CREATE INDEX alert_key_alert ON alert_key (of_alert);
