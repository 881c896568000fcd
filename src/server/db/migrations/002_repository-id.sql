-- SPDX-License-Identifier: GPL-3.0-or-later
-- Which repository of the engine a row is about: two paths, or two hosts with one share, may lead to the same one.
ALTER TABLE repositories ADD COLUMN unique_id TEXT NOT NULL DEFAULT ''; -- hex; '' until it was made or opened
