/* table_tsv.c: tab separated values: the CSV reader with a tab. */
#include "data/table_csv.h"

sn_status sn_table_read_tsv(sn_table *table, const sn_source *source) {
    return sn_table_read_delimited(table, source, '\t');
}
