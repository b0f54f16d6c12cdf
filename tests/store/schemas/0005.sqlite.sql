CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE alarms (
    id INTEGER NOT NULL, 
    kind TEXT NOT NULL, 
    subject TEXT NOT NULL, 
    text TEXT NOT NULL, 
    raised_at BIGINT NOT NULL, 
    times INTEGER DEFAULT 1 NOT NULL, 
    last_at BIGINT NOT NULL, 
    cleared_at BIGINT, 
    CONSTRAINT pk_alarms PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_alarms_open ON alarms (kind, subject) WHERE cleared_at IS NULL;
CREATE TABLE questions (
    webservice_id TEXT NOT NULL, 
    record_kind TEXT NOT NULL, 
    path TEXT NOT NULL, 
    kind TEXT NOT NULL, 
    first_at BIGINT, 
    last_at BIGINT, 
    seen BIGINT NOT NULL, 
    since BIGINT NOT NULL, 
    last BIGINT NOT NULL, 
    alarm TEXT, 
    CONSTRAINT pk_questions PRIMARY KEY (webservice_id, record_kind, path)
);
CREATE TABLE compatibility (
    oldest TEXT NOT NULL, 
    CONSTRAINT pk_compatibility PRIMARY KEY (oldest)
);
INSERT INTO compatibility (oldest) VALUES ('0001');
CREATE TABLE lanes (
    id INTEGER NOT NULL, 
    "key" TEXT NOT NULL, 
    destination TEXT NOT NULL, 
    last_number BIGINT NOT NULL, 
    used_at BIGINT NOT NULL, 
    claimable_at BIGINT, 
    holder TEXT, 
    CONSTRAINT pk_lanes PRIMARY KEY (id), 
    CONSTRAINT uq_lanes_key UNIQUE ("key")
);
CREATE INDEX ix_lanes_claimable ON lanes (destination, claimable_at) WHERE claimable_at IS NOT NULL;
CREATE TABLE notifications (
    id INTEGER NOT NULL, 
    webservice_id TEXT NOT NULL, 
    notification_key TEXT NOT NULL, 
    account TEXT NOT NULL, 
    webservice TEXT, 
    form TEXT, 
    project TEXT, 
    event TEXT NOT NULL, 
    status TEXT, 
    customer_key TEXT, 
    submission_key TEXT, 
    dispatch_key TEXT, 
    record_key TEXT, 
    created_at BIGINT, 
    received_at BIGINT NOT NULL, 
    body BLOB NOT NULL, 
    mode TEXT NOT NULL, 
    mode_reason TEXT NOT NULL, 
    matched BOOLEAN NOT NULL, 
    repeats INTEGER DEFAULT 0 NOT NULL, 
    outcome TEXT, 
    outcome_at BIGINT, 
    answer_open BOOLEAN DEFAULT 0 NOT NULL, 
    answer TEXT, 
    report_state TEXT NOT NULL, 
    put_owed BOOLEAN DEFAULT 0 NOT NULL, 
    report_due_at BIGINT, 
    report_holder TEXT, 
    report_attempts INTEGER DEFAULT 0 NOT NULL, 
    report_spent BIGINT DEFAULT 0 NOT NULL, 
    report_reason TEXT, 
    reported_at BIGINT, 
    fetch_state TEXT NOT NULL, 
    fetch_attempts INTEGER DEFAULT 0 NOT NULL, 
    fetch_spent BIGINT DEFAULT 0 NOT NULL, 
    fetch_reason TEXT, 
    fetch_due_at BIGINT, 
    fetch_holder TEXT, 
    pruned_at BIGINT, 
    CONSTRAINT pk_notifications PRIMARY KEY (id), 
    CONSTRAINT uq_notifications_webservice_id_notification_key UNIQUE (webservice_id, notification_key)
);
CREATE INDEX ix_notifications_fetch ON notifications (account, record_key) WHERE fetch_state = 'due';
CREATE INDEX ix_notifications_record ON notifications (account, record_key);
CREATE INDEX ix_notifications_unmatched ON notifications (webservice_id) WHERE matched = 0;
CREATE INDEX ix_notifications_not_fetched ON notifications (webservice_id) WHERE fetch_state = 'given up';
CREATE INDEX ix_notifications_not_reported ON notifications (webservice_id) WHERE report_state IN ('refused', 'given up');
CREATE INDEX ix_notifications_report_due_at ON notifications (report_due_at) WHERE report_due_at IS NOT NULL;
CREATE TABLE pauses (
    kind TEXT NOT NULL, 
    name TEXT NOT NULL, 
    cause TEXT NOT NULL, 
    reason TEXT NOT NULL, 
    since BIGINT NOT NULL, 
    until BIGINT, 
    CONSTRAINT pk_pauses PRIMARY KEY (kind, name)
);
CREATE TABLE rates (
    name TEXT NOT NULL, 
    used_until BIGINT NOT NULL, 
    CONSTRAINT pk_rates PRIMARY KEY (name)
);
CREATE TABLE call_slots (
    account TEXT NOT NULL, 
    holder TEXT NOT NULL, 
    slots INTEGER NOT NULL, 
    demand INTEGER NOT NULL, 
    until BIGINT NOT NULL, 
    CONSTRAINT pk_call_slots PRIMARY KEY (account, holder)
);
CREATE TABLE call_counts (
    day BIGINT NOT NULL, 
    webservice_id TEXT NOT NULL, 
    kind TEXT NOT NULL, 
    calls BIGINT NOT NULL, 
    too_many BIGINT NOT NULL, 
    over_quota BIGINT NOT NULL, 
    failed BIGINT NOT NULL, 
    CONSTRAINT pk_call_counts PRIMARY KEY (day, webservice_id, kind)
);
CREATE TABLE quarantine (
    id INTEGER NOT NULL, 
    received_at BIGINT NOT NULL, 
    path TEXT NOT NULL, 
    client TEXT, 
    reason TEXT NOT NULL, 
    body BLOB NOT NULL, 
    CONSTRAINT pk_quarantine PRIMARY KEY (id)
);
CREATE TABLE backfilled (
    record_key TEXT NOT NULL, 
    account TEXT NOT NULL, 
    notification_id INTEGER NOT NULL, 
    kept_at BIGINT NOT NULL, 
    CONSTRAINT pk_backfilled PRIMARY KEY (record_key, account)
);
CREATE INDEX ix_backfilled_notification ON backfilled (notification_id);
CREATE TABLE late_creates (
    notification_id INTEGER NOT NULL, 
    backfill_id INTEGER NOT NULL, 
    CONSTRAINT pk_late_creates PRIMARY KEY (notification_id), 
    CONSTRAINT fk_late_creates_notification_id FOREIGN KEY(notification_id) REFERENCES notifications (id) ON DELETE CASCADE
);
CREATE TABLE reconciled (
    webservice_id TEXT NOT NULL, 
    until BIGINT, 
    round_at BIGINT, 
    holder TEXT, 
    lease_until BIGINT, 
    CONSTRAINT pk_reconciled PRIMARY KEY (webservice_id)
);
CREATE TABLE deliveries (
    id INTEGER NOT NULL, 
    notification_id INTEGER NOT NULL, 
    lane_id INTEGER NOT NULL, 
    number BIGINT NOT NULL, 
    route TEXT NOT NULL, 
    name TEXT NOT NULL, 
    destination TEXT NOT NULL, 
    delivery_key TEXT NOT NULL, 
    required BOOLEAN NOT NULL, 
    state TEXT NOT NULL, 
    in_lane BOOLEAN DEFAULT 1 NOT NULL, 
    due_at BIGINT NOT NULL, 
    attempts INTEGER DEFAULT 0 NOT NULL, 
    spent BIGINT DEFAULT 0 NOT NULL, 
    attempt_id BIGINT, 
    sending_at BIGINT, 
    reason TEXT, 
    doubt BOOLEAN DEFAULT 0 NOT NULL, 
    receipt TEXT, 
    settled_at BIGINT, 
    CONSTRAINT pk_deliveries PRIMARY KEY (id), 
    CONSTRAINT fk_deliveries_notification_id FOREIGN KEY(notification_id) REFERENCES notifications (id) ON DELETE CASCADE
);
CREATE INDEX ix_deliveries_dead ON deliveries (destination, settled_at) WHERE state = 'dead';
CREATE INDEX ix_deliveries_lane ON deliveries (lane_id, number) WHERE in_lane = 1;
CREATE INDEX ix_deliveries_notification ON deliveries (notification_id);
CREATE TABLE records (
    id INTEGER NOT NULL, 
    notification_id INTEGER NOT NULL, 
    kind TEXT NOT NULL, 
    account TEXT NOT NULL, 
    record_key TEXT NOT NULL, 
    raw BLOB NOT NULL, 
    fetched_at BIGINT NOT NULL, 
    CONSTRAINT pk_records PRIMARY KEY (id), 
    CONSTRAINT fk_records_notification_id FOREIGN KEY(notification_id) REFERENCES notifications (id) ON DELETE CASCADE, 
    CONSTRAINT uq_records_notification_id_kind UNIQUE (notification_id, kind)
);
CREATE INDEX ix_records_latest ON records (account, record_key, notification_id);
CREATE TABLE record_ids (
    account TEXT NOT NULL, 
    record_key TEXT NOT NULL, 
    id TEXT NOT NULL, 
    CONSTRAINT pk_record_ids PRIMARY KEY (account, record_key)
);
CREATE TABLE attempts (
    id INTEGER NOT NULL, 
    delivery_id INTEGER NOT NULL, 
    number INTEGER NOT NULL, 
    ended_at BIGINT NOT NULL, 
    result TEXT NOT NULL, 
    reason TEXT NOT NULL, 
    CONSTRAINT pk_attempts PRIMARY KEY (id), 
    CONSTRAINT fk_attempts_delivery_id FOREIGN KEY(delivery_id) REFERENCES deliveries (id) ON DELETE CASCADE
);
CREATE INDEX ix_attempts_delivery ON attempts (delivery_id);
CREATE TABLE renderings (
    delivery_id INTEGER NOT NULL, 
    options BLOB NOT NULL, 
    CONSTRAINT pk_renderings PRIMARY KEY (delivery_id), 
    CONSTRAINT fk_renderings_delivery_id FOREIGN KEY(delivery_id) REFERENCES deliveries (id) ON DELETE CASCADE
);
CREATE TABLE attachments (
    id INTEGER NOT NULL, 
    notification_id INTEGER NOT NULL, 
    webservice_id TEXT NOT NULL, 
    blob_key TEXT NOT NULL, 
    place TEXT NOT NULL, 
    filename TEXT NOT NULL, 
    file TEXT NOT NULL, 
    state TEXT NOT NULL, 
    attempts INTEGER DEFAULT 0 NOT NULL, 
    spent BIGINT DEFAULT 0 NOT NULL, 
    reason TEXT, 
    due_at BIGINT, 
    etag TEXT, 
    size BIGINT, 
    sha256 TEXT, 
    content_type TEXT, 
    ended_at BIGINT, 
    CONSTRAINT pk_attachments PRIMARY KEY (id), 
    CONSTRAINT fk_attachments_notification_id FOREIGN KEY(notification_id) REFERENCES notifications (id) ON DELETE CASCADE, 
    CONSTRAINT uq_attachments_file UNIQUE (file), 
    CONSTRAINT uq_attachments_notification_id_blob_key UNIQUE (notification_id, blob_key)
);
CREATE INDEX ix_attachments_blob ON attachments (webservice_id, blob_key);
CREATE INDEX ix_attachments_missing ON attachments (webservice_id) WHERE state <> 'spooled';
INSERT INTO alembic_version (version_num) VALUES ('0001') RETURNING version_num;
ALTER TABLE deliveries ADD COLUMN deaths INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE deliveries ADD COLUMN alone_at BIGINT;
CREATE INDEX ix_deliveries_deadly ON deliveries (destination) WHERE deaths > 2;
ALTER TABLE notifications ADD COLUMN report_deaths INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE notifications ADD COLUMN report_alone BOOLEAN DEFAULT 0 NOT NULL;
ALTER TABLE reconciled ADD COLUMN deaths INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE reconciled ADD COLUMN not_before BIGINT;
UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001';
ALTER TABLE quarantine ADD COLUMN code TEXT DEFAULT 'unknown' NOT NULL;
ALTER TABLE quarantine ADD COLUMN size BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE quarantine ADD COLUMN full_size BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE quarantine ADD COLUMN coding TEXT;
ALTER TABLE quarantine ADD COLUMN senders TEXT;
UPDATE quarantine SET size = length(body), full_size = length(body);
CREATE INDEX ix_quarantine_kept ON quarantine (id, size, code);
UPDATE alembic_version SET version_num='0003' WHERE alembic_version.version_num = '0002';
CREATE TABLE clock (
    id INTEGER NOT NULL, 
    seen_at BIGINT NOT NULL, 
    leaps INTEGER DEFAULT 0 NOT NULL, 
    leapt_at BIGINT, 
    CONSTRAINT pk_clock PRIMARY KEY (id)
);
UPDATE alembic_version SET version_num='0004' WHERE alembic_version.version_num = '0003';
ALTER TABLE notifications ADD COLUMN mode_code TEXT;
ALTER TABLE deliveries ADD COLUMN reason_code TEXT;
ALTER TABLE deliveries ADD COLUMN reason_subject TEXT;
UPDATE notifications SET mode_code = 'dropped'
     WHERE matched = 0 AND mode_code IS NULL AND mode_reason LIKE 'dropped by %';
UPDATE deliveries SET reason_code = 'given up'
     WHERE state = 'dead' AND reason_code IS NULL AND reason LIKE 'given up after %';
UPDATE deliveries SET reason_code = 'record not fetched'
     WHERE state = 'dead' AND reason_code IS NULL AND reason LIKE 'the record could not be fetched%';
UPDATE deliveries SET reason_code = 'attachment missing'
     WHERE state = 'dead' AND reason_code IS NULL
       AND (reason LIKE '% attachment of % missing: %' OR reason LIKE '% attachments of % missing: %');
UPDATE deliveries SET reason_code = 'account waits',
           reason_subject =
               (SELECT account FROM notifications WHERE notifications.id = deliveries.notification_id)
     WHERE state = 'pending' AND reason_code IS NULL AND reason LIKE 'the web service % waits for its account %';
UPDATE deliveries SET reason_code = 'web service waits',
           reason_subject =
               (SELECT webservice_id FROM notifications WHERE notifications.id = deliveries.notification_id)
     WHERE state = 'pending' AND reason_code IS NULL
       AND (reason LIKE 'the web service % is paused: %' OR reason LIKE 'the web service % was loaded again meanwhile'
            OR reason LIKE 'the web service % is not in the routes file'
            OR reason LIKE 'the web service % has no password in the routes file');
UPDATE deliveries SET reason_code = 'not loaded',
           reason_subject = route || '/' || name || ' to ' || destination
     WHERE state = 'pending' AND reason_code IS NULL
       AND reason = 'the delivery ' || name || ' of the route ' || route || ' to ' || destination
                    || ' is not in the routes file';
UPDATE deliveries SET reason_code = 'attachment missing'
     WHERE state = 'delivered' AND reason_code IS NULL AND receipt LIKE '%; without % attachment%: %';
UPDATE deliveries SET reason_code = 'dropped' WHERE state = 'dropped' AND reason_code IS NULL;
UPDATE alembic_version SET version_num='0005' WHERE alembic_version.version_num = '0004';
