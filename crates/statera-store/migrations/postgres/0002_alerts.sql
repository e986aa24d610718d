-- A case is named by the decision that opened it. Programs before this one do not know the records of steps on cases: the
-- first step raises min_program.
CREATE TABLE alert (id BYTEA PRIMARY KEY, model TEXT NOT NULL, card BYTEA NOT NULL, opened_us BIGINT NOT NULL, last_us BIGINT NOT NULL, risk BIGINT NOT NULL, n_waiting BIGINT NOT NULL, assigned TEXT, verdict TEXT, closed_us BIGINT, steps BIGINT NOT NULL);
CREATE UNIQUE INDEX alert_open ON alert (model, card) WHERE closed_us IS NULL;
CREATE INDEX alert_risk ON alert (risk DESC, id) WHERE closed_us IS NULL;
CREATE INDEX alert_card ON alert (card);
CREATE INDEX alert_opened ON alert (opened_us);
CREATE INDEX alert_closed ON alert (closed_us) WHERE closed_us IS NOT NULL;
CREATE TABLE suspect (record BYTEA PRIMARY KEY, of_alert BYTEA NOT NULL, risk BIGINT NOT NULL, answered BIGINT NOT NULL);
CREATE INDEX suspect_alert ON suspect (of_alert);
CREATE TABLE alert_key (value BYTEA NOT NULL, of_alert BYTEA NOT NULL, name TEXT NOT NULL, PRIMARY KEY (value, of_alert));
CREATE INDEX alert_key_alert ON alert_key (of_alert);
