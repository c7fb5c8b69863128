-- How the entries of a batch are stored. All batches from before this are plain.
ALTER TABLE batch ADD COLUMN form INTEGER NOT NULL DEFAULT 0 /* 0: entries are plain; 1: packed with the first dictionary */;
