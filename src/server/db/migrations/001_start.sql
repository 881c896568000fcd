-- SPDX-License-Identifier: GPL-3.0-or-later
-- The first schema. Rules of all migrations (docs/database.md):
--   BIGINT is the only number: counts, bytes, booleans (0, 1), times (microseconds since 1970 UTC; NULL: not yet).
--   TEXT is compared byte by byte on both databases; ids are UUID texts in lower case.
--   BLOB is bytes (BYTEA on PostgreSQL). sealed_* columns hold what auth/seal.h made, *_hash columns hashes: neither
--   is ever shown or audited.
--   A word column lists its words in its comment; they are those of the REST interface's newest version.

CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
-- Every change of a session or task session takes the next number.
INSERT INTO counters (name, value) VALUES ('usn', 0);
-- The number of orders to hosts: only rises (docs/fleet.md 1).
INSERT INTO counters (name, value) VALUES ('order', 0);

-- ---- accounts ----

CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  password_hash TEXT NOT NULL,   -- Argon2id, text form of auth/password.h
  role TEXT NOT NULL,            -- administrator, operator, restore-operator, viewer
  disabled BIGINT NOT NULL,
  failed_logins BIGINT NOT NULL, -- since the last good one
  locked_until BIGINT,
  last_login BIGINT,
  created BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_name ON accounts (LOWER(name));

CREATE TABLE login_addresses (   -- failed logins of an address ('.../64' of IPv6), or ('name HASH') of a name without account
  address TEXT PRIMARY KEY,
  failed_logins BIGINT NOT NULL,
  locked_until BIGINT,
  last_failure BIGINT NOT NULL
);

CREATE TABLE tokens (            -- a pair; refreshing makes the next pair of the same family
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  family TEXT NOT NULL,          -- all pairs that came from one login
  access_hash BLOB NOT NULL,     -- SHA-256 of the 32 random bytes
  refresh_hash BLOB NOT NULL,
  address TEXT NOT NULL,
  issued BIGINT NOT NULL,
  access_expires BIGINT NOT NULL,
  refresh_expires BIGINT NOT NULL,
  used BIGINT,                   -- when the refresh token was turned in
  revoked BIGINT
);
CREATE UNIQUE INDEX tokens_access ON tokens (access_hash);
CREATE UNIQUE INDEX tokens_refresh ON tokens (refresh_hash);
CREATE INDEX tokens_account ON tokens (account_id);
CREATE INDEX tokens_family ON tokens (family);
CREATE INDEX tokens_expiry ON tokens (refresh_expires);

CREATE TABLE audit (
  id TEXT PRIMARY KEY,
  time BIGINT NOT NULL,
  account TEXT NOT NULL,         -- its name; '' for the server itself
  address TEXT NOT NULL,
  action TEXT NOT NULL,          -- login, logout, create, change, delete, start, stop, restore, ...
  object_kind TEXT NOT NULL,     -- the table
  object_id TEXT NOT NULL,
  object_name TEXT NOT NULL,
  old_value TEXT,                -- JSON
  new_value TEXT,                -- JSON
  result TEXT NOT NULL           -- 'ok' or the message of the refusal
);
CREATE INDEX audit_time ON audit (time, id);
CREATE INDEX audit_object ON audit (object_id, time);

-- ---- what the fleet is made of ----

CREATE TABLE credentials (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL,
  description TEXT NOT NULL,
  type TEXT NOT NULL,            -- Standard, Linux
  sealed_password BLOB,
  ssh_port BIGINT NOT NULL,      -- 0: the catalogue's
  authentication TEXT NOT NULL,  -- Password, PrivateKey
  sealed_private_key BLOB,
  sealed_passphrase BLOB,        -- of the private key
  elevate_to_root BIGINT NOT NULL,
  add_to_sudoers BIGINT NOT NULL,
  use_su BIGINT NOT NULL,
  sealed_root_password BLOB,
  created BIGINT NOT NULL,
  modified BIGINT NOT NULL
);
CREATE INDEX credentials_username ON credentials (username, id);

CREATE TABLE hosts (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,            -- as the administrator calls it
  address TEXT NOT NULL,         -- DNS name or IP address that the server calls
  description TEXT NOT NULL,
  type TEXT NOT NULL,            -- LinuxHost
  ports TEXT NOT NULL,           -- JSON: ports unlike the catalogue: service id -> port, or [first, last]
  networks TEXT NOT NULL,        -- JSON: addresses of the host as it told them
  credentials_id TEXT REFERENCES credentials (id),
  status TEXT NOT NULL,          -- Available, Unavailable
  status_message TEXT NOT NULL,
  identity TEXT,                 -- what the host itself says it is: the same host enrolled twice shows the same
  os_name TEXT NOT NULL,
  os_version TEXT NOT NULL,
  kernel TEXT NOT NULL,
  architecture TEXT NOT NULL,
  processors BIGINT NOT NULL,
  memory BIGINT NOT NULL,
  agent_version TEXT NOT NULL,
  roles TEXT NOT NULL,           -- JSON: role -> version, as the keeper reports them
  certificate_fingerprint TEXT NOT NULL,
  certificate_serial TEXT NOT NULL,
  ssh_host_key TEXT NOT NULL,    -- pinned; '' when never called by SSH
  is_server BIGINT NOT NULL,     -- the agent on the backup server itself
  last_seen BIGINT,
  enrolled BIGINT,               -- NULL: not enrolled yet
  created BIGINT NOT NULL
);
CREATE UNIQUE INDEX hosts_name ON hosts (LOWER(name));
CREATE UNIQUE INDEX hosts_identity ON hosts (identity);
CREATE INDEX hosts_credentials ON hosts (credentials_id);
CREATE INDEX hosts_status ON hosts (status);

CREATE TABLE certificates (
  serial TEXT PRIMARY KEY,       -- hex
  host_id TEXT REFERENCES hosts (id) ON DELETE SET NULL, -- NULL: the server's own, or the host is gone
  subject TEXT NOT NULL,
  fingerprint TEXT NOT NULL,     -- SHA-256 of the DER, hex
  issued BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  revoked BIGINT
);
CREATE INDEX certificates_host ON certificates (host_id);
CREATE INDEX certificates_revoked ON certificates (revoked);

CREATE TABLE encryption_passwords (
  id TEXT PRIMARY KEY,
  hint TEXT NOT NULL,
  sealed_password BLOB NOT NULL,
  created BIGINT NOT NULL,
  modified BIGINT NOT NULL
);
CREATE INDEX encryption_passwords_hint ON encryption_passwords (hint, id);

CREATE TABLE repositories (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  type TEXT NOT NULL,            -- LinuxLocal, LinuxHardened
  host_id TEXT NOT NULL REFERENCES hosts (id),
  path TEXT NOT NULL,
  task_limit BIGINT NOT NULL,    -- 0: none
  rate_limit BIGINT NOT NULL,    -- bytes a second; 0: none
  immutable_days BIGINT NOT NULL, -- 0: no lock
  encryption_password_id TEXT REFERENCES encryption_passwords (id),
  fingerprint TEXT NOT NULL,     -- of the engine's repository; '' until it was made or opened
  settings TEXT NOT NULL,        -- JSON: what the interface keeps for clients and the engine does not ask
  capacity BIGINT NOT NULL,      -- bytes
  free BIGINT NOT NULL,
  used BIGINT NOT NULL,
  online BIGINT NOT NULL,
  out_of_date BIGINT NOT NULL,   -- the host's software is older than the server's
  status_message TEXT NOT NULL,
  checked BIGINT,                -- when the figures were true
  created BIGINT NOT NULL
);
CREATE UNIQUE INDEX repositories_name ON repositories (LOWER(name));
CREATE UNIQUE INDEX repositories_place ON repositories (host_id, path);
CREATE INDEX repositories_password ON repositories (encryption_password_id);

CREATE TABLE repository_writers ( -- the write-only credential of a host in a repository
  id TEXT PRIMARY KEY,
  host_id TEXT NOT NULL REFERENCES hosts (id),
  repository_id TEXT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
  writer TEXT NOT NULL,          -- the engine's id, hex
  domain TEXT NOT NULL,          -- the engine's id of its trust domain, hex
  sealed_credential BLOB NOT NULL,
  created BIGINT NOT NULL,
  removed BIGINT
);
CREATE UNIQUE INDEX repository_writers_pair ON repository_writers (host_id, repository_id);
CREATE INDEX repository_writers_repository ON repository_writers (repository_id);

CREATE TABLE proxies (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  type TEXT NOT NULL,            -- GeneralPurposeProxy
  host_id TEXT NOT NULL REFERENCES hosts (id),
  max_tasks BIGINT NOT NULL,
  disabled BIGINT NOT NULL,
  created BIGINT NOT NULL
);
CREATE UNIQUE INDEX proxies_name ON proxies (LOWER(name));
CREATE UNIQUE INDEX proxies_host ON proxies (host_id, type);

CREATE TABLE traffic_rules (
  id TEXT PRIMARY KEY,
  position BIGINT NOT NULL,      -- the first rule that fits decides
  name TEXT NOT NULL,
  source_first TEXT NOT NULL,
  source_last TEXT NOT NULL,
  target_first TEXT NOT NULL,
  target_last TEXT NOT NULL,
  encryption BIGINT NOT NULL,
  throttling BIGINT NOT NULL,
  throttling_value BIGINT NOT NULL,
  throttling_unit TEXT NOT NULL, -- MbitPerSec, KbytePerSec, MbytePerSec
  window_enabled BIGINT NOT NULL,
  windows TEXT NOT NULL          -- JSON {days:[{day, hours}]}: the hours in which the limit holds (server/schedule)
);
CREATE INDEX traffic_rules_position ON traffic_rules (position);

CREATE TABLE preferred_networks (
  id TEXT PRIMARY KEY,
  position BIGINT NOT NULL,
  network TEXT NOT NULL          -- address/prefix
);

-- ---- jobs and what they did ----

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  type TEXT NOT NULL,            -- LinuxAgentBackup, FileBackup, BackupCopy
  disabled BIGINT NOT NULL,
  high_priority BIGINT NOT NULL,
  repository_id TEXT REFERENCES repositories (id),
  config TEXT NOT NULL,          -- JSON of the interface: objects, storage, retention, hooks, notifications
  schedule TEXT NOT NULL,        -- JSON of server/schedule/schedule.h
  objects_count BIGINT NOT NULL,
  after_job_id TEXT REFERENCES jobs (id), -- runs after that one
  status TEXT NOT NULL,          -- Running, Inactive, Disabled, Stopping, Starting
  next_run BIGINT,
  next_run_policy TEXT NOT NULL, -- words for people: 'not scheduled', 'after job X', ...
  last_run BIGINT,
  last_result TEXT NOT NULL,     -- None, Success, Warning, Failed
  last_session_id TEXT,
  retries BIGINT NOT NULL,       -- automatic retries since the last planned run
  created BIGINT NOT NULL,
  modified BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_name ON jobs (LOWER(name));
CREATE INDEX jobs_repository ON jobs (repository_id);
CREATE INDEX jobs_after ON jobs (after_job_id);
CREATE INDEX jobs_next_run ON jobs (next_run);
CREATE INDEX jobs_last_run ON jobs (last_run);

CREATE TABLE job_hosts (         -- the hosts that a job's config names: who is in use
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  host_id TEXT NOT NULL REFERENCES hosts (id),
  PRIMARY KEY (job_id, host_id)
);
CREATE INDEX job_hosts_host ON job_hosts (host_id);

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  usn BIGINT NOT NULL,
  name TEXT NOT NULL,
  job_id TEXT,                   -- kept when the job is deleted, so no reference
  type TEXT NOT NULL,            -- BackupJob, BackupCopyJob, FileLevelRestore, Infrastructure, ...
  state TEXT NOT NULL,           -- Starting, Working, Stopping, Postprocessing, WaitingRepository, WaitingSlot, Stopped
  result TEXT NOT NULL,          -- None, Success, Warning, Failed
  message TEXT NOT NULL,
  cancelled BIGINT NOT NULL,
  stop_requested TEXT NOT NULL,  -- '', 'graceful', 'now'
  progress BIGINT NOT NULL,      -- percent
  processed_bytes BIGINT NOT NULL,
  read_bytes BIGINT NOT NULL,
  transferred_bytes BIGINT NOT NULL,
  initiated_by TEXT NOT NULL,
  repository_id TEXT,
  parent_id TEXT,
  related_id TEXT,               -- the session that this one repeats or goes on with
  resource_id TEXT,              -- what it made or worked on, and its address in the interface
  resource_reference TEXT NOT NULL,
  resume TEXT NOT NULL,          -- JSON: what the job runner needs after a restart of the server
  created BIGINT NOT NULL,
  ended BIGINT,
  log_lines BIGINT NOT NULL DEFAULT 0 -- the number of the last line
);
CREATE INDEX sessions_created ON sessions (created, id);
CREATE INDEX sessions_usn ON sessions (usn);
CREATE INDEX sessions_ended ON sessions (ended, id);
CREATE INDEX sessions_name ON sessions (name, id);
CREATE INDEX sessions_job ON sessions (job_id, created);
CREATE INDEX sessions_type ON sessions (type, created);
CREATE INDEX sessions_state ON sessions (state, created);
CREATE INDEX sessions_result ON sessions (result, created);
CREATE INDEX sessions_initiated ON sessions (initiated_by, id);
CREATE INDEX sessions_parent ON sessions (parent_id);

CREATE TABLE task_sessions (
  id TEXT PRIMARY KEY,
  usn BIGINT NOT NULL,
  session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  session_type TEXT NOT NULL,
  type TEXT NOT NULL,            -- Backup, Restore
  name TEXT NOT NULL,
  host_id TEXT,
  object_id TEXT,                -- backup_objects
  state TEXT NOT NULL,
  result TEXT NOT NULL,
  message TEXT NOT NULL,
  algorithm TEXT NOT NULL,       -- None, Full, Increment
  bottleneck TEXT NOT NULL,      -- None, Source, Proxy, Network, Target, Throttling
  duration_us BIGINT NOT NULL,
  rate BIGINT NOT NULL,          -- bytes a second
  total_bytes BIGINT NOT NULL,
  processed_bytes BIGINT NOT NULL,
  read_bytes BIGINT NOT NULL,
  transferred_bytes BIGINT NOT NULL,
  progress BIGINT NOT NULL,      -- percent
  busy_source_us BIGINT NOT NULL,
  busy_proxy_us BIGINT NOT NULL,
  busy_network_us BIGINT NOT NULL,
  busy_target_us BIGINT NOT NULL,
  busy_throttle_us BIGINT NOT NULL,
  repository_id TEXT,
  restore_point_id TEXT,
  resume TEXT NOT NULL,          -- JSON of the job runner
  created BIGINT NOT NULL,
  ended BIGINT,
  log_lines BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX task_sessions_session ON task_sessions (session_id, created);
CREATE INDEX task_sessions_created ON task_sessions (created, id);
CREATE INDEX task_sessions_ended ON task_sessions (ended, id);
CREATE INDEX task_sessions_usn ON task_sessions (usn);
CREATE INDEX task_sessions_name ON task_sessions (name, id);
CREATE INDEX task_sessions_type ON task_sessions (type, created);
CREATE INDEX task_sessions_session_type ON task_sessions (session_type, created);
CREATE INDEX task_sessions_state ON task_sessions (state, created);
CREATE INDEX task_sessions_result ON task_sessions (result, created);
CREATE INDEX task_sessions_host ON task_sessions (host_id, created);
CREATE INDEX task_sessions_object ON task_sessions (object_id, created);

CREATE TABLE session_logs (      -- lines of sessions and of task sessions
  session_id TEXT NOT NULL,      -- of either
  seq BIGINT NOT NULL,           -- from 1
  status TEXT NOT NULL,          -- None, Succeeded, Warning, Failed
  started BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  title TEXT NOT NULL,
  description TEXT NOT NULL,
  PRIMARY KEY (session_id, seq)
);

-- ---- the catalogue: a cache of what the repositories hold ----

CREATE TABLE backups (           -- what one job keeps in one repository
  id TEXT PRIMARY KEY,
  job_id TEXT,                   -- NULL: of no job that is known (found by a rescan)
  job_type TEXT NOT NULL,
  name TEXT NOT NULL,
  platform TEXT NOT NULL,        -- LinuxPhysical, UnstructuredData, CustomPlatform
  repository_id TEXT NOT NULL REFERENCES repositories (id),
  created BIGINT NOT NULL
);
CREATE UNIQUE INDEX backups_place ON backups (repository_id, job_id, name);
CREATE INDEX backups_name ON backups (name, id);
CREATE INDEX backups_created ON backups (created, id);
CREATE INDEX backups_job ON backups (job_id);

CREATE TABLE backup_objects (    -- what is protected: a host's files, a disk
  id TEXT PRIMARY KEY,
  host_id TEXT,                  -- NULL: a host that is not known any more
  name TEXT NOT NULL,
  type TEXT NOT NULL,            -- Files, Disk
  platform TEXT NOT NULL,
  path TEXT NOT NULL,
  source_id TEXT NOT NULL,       -- the engine's opaque id, hex: the same source is the same object
  last_run_failed BIGINT NOT NULL,
  created BIGINT NOT NULL
);
CREATE UNIQUE INDEX backup_objects_source ON backup_objects (source_id, name);
CREATE INDEX backup_objects_name ON backup_objects (name, id);
CREATE INDEX backup_objects_host ON backup_objects (host_id);
CREATE INDEX backup_objects_type ON backup_objects (type, id);

CREATE TABLE backup_files (      -- how a point shows itself to clients that think in files: one a point
  id TEXT PRIMARY KEY,
  backup_id TEXT NOT NULL REFERENCES backups (id) ON DELETE CASCADE,
  object_id TEXT NOT NULL REFERENCES backup_objects (id),
  name TEXT NOT NULL,
  data_size BIGINT NOT NULL,     -- what a restore gives
  backup_size BIGINT NOT NULL,   -- what it added to the repository
  dedup_ratio BIGINT NOT NULL,   -- percent
  compress_ratio BIGINT NOT NULL, -- percent
  created BIGINT NOT NULL
);
CREATE INDEX backup_files_backup ON backup_files (backup_id, created);
CREATE INDEX backup_files_object ON backup_files (object_id);

CREATE TABLE restore_points (
  id TEXT PRIMARY KEY,
  backup_id TEXT NOT NULL REFERENCES backups (id) ON DELETE CASCADE,
  object_id TEXT NOT NULL REFERENCES backup_objects (id),
  file_id TEXT REFERENCES backup_files (id) ON DELETE SET NULL,
  repository_id TEXT NOT NULL REFERENCES repositories (id),
  point TEXT NOT NULL,           -- the engine's id, 32 hex digits
  name TEXT NOT NULL,
  sequence BIGINT NOT NULL,      -- the repository's
  time BIGINT NOT NULL,          -- the repository's
  source_time BIGINT,            -- the source's, only shown
  type TEXT NOT NULL,            -- Full, Increment
  original_size BIGINT NOT NULL,
  read_size BIGINT NOT NULL,
  stored_size BIGINT NOT NULL,   -- what it added
  entries BIGINT NOT NULL,       -- files and folders; 0 for disks
  session_id TEXT,
  writer TEXT NOT NULL,          -- the engine's id of who signed it, hex
  locked_until BIGINT,
  damaged BIGINT NOT NULL,       -- verification found it damaged
  facts TEXT NOT NULL,           -- JSON: paths, disks, operating system
  seen BIGINT NOT NULL           -- the last rescan or session that saw it
);
CREATE UNIQUE INDEX restore_points_point ON restore_points (repository_id, point);
CREATE INDEX restore_points_time ON restore_points (time, id);
CREATE INDEX restore_points_backup ON restore_points (backup_id, time);
CREATE INDEX restore_points_object ON restore_points (object_id, time);
CREATE INDEX restore_points_session ON restore_points (session_id);
CREATE INDEX restore_points_file ON restore_points (file_id);
CREATE INDEX restore_points_name ON restore_points (name, id);

-- ---- what waits to be told ----

CREATE TABLE events (            -- mail and syslog that were not delivered when the server stopped
  id TEXT PRIMARY KEY,
  channel TEXT NOT NULL,         -- mail, syslog
  time BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  not_before BIGINT NOT NULL,
  session_id TEXT,
  body TEXT NOT NULL             -- JSON
);
CREATE INDEX events_due ON events (channel, not_before);
