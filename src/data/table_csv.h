/* table_csv.h: the delimited reader, shared by the rows of table_readers.def that use it. */
#ifndef SN_DATA_TABLE_CSV_H
#define SN_DATA_TABLE_CSV_H
#include "data/table_build.h"

sn_status sn_table_read_delimited(sn_table *table, const sn_source *source, char delimiter);
#endif
