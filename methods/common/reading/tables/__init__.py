"""From the cells of a table to features, labels and parts, in arrays.

frames   a csv, tsv or parquet file as a data frame; what counts as a missing cell
roles    which column has the labels, the rows' names, the split; which are left out
labels   the label column as numbers of classes
columns  what each other column is: a number, levels, or text; columns that say nothing, or too much
encoder  what was learned of the columns: cells to features, also those of new rows
splits   parts of the rows
table    all of it in one call

Messages name the options that every command on tables has: --label, --id, --split-col, --drop, --unlabelled, and a size a part.
"""
