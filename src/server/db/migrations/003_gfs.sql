-- SPDX-License-Identifier: GPL-3.0-or-later
-- For which rules beyond the last points retention keeps the point: JSON, a list of None, or of Weekly, Monthly, Yearly.
ALTER TABLE backup_files ADD COLUMN gfs TEXT NOT NULL DEFAULT '["None"]';
