/* cells.c: what a single cell can be read as: number, yes or no, date, vector, items of a set, media file.
 *
 * Each question is strict and covers the whole cell, so that inference, features and messages agree on what a
 * value is. Numbers do not depend on the program's locale: the decimal mark is always '.'. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "data/table.h"

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool sn_cell_empty(const char *cell) {
    while (is_space(*cell)) cell++;
    return !*cell;
}

/* ---- numbers ---- */

/* What strtod makes of text[0..bytes), whatever the locale's decimal mark. */
static bool by_library(const char *text, size_t bytes, double *out) {
    char copy[512];
    const char *mark = localeconv()->decimal_point;
    size_t used = 0, marks = strlen(mark);
    for (size_t i = 0; i < bytes; i++) {
        if (used + marks + 1 >= sizeof copy) return false;
        if (text[i] == '.') memcpy(copy + used, mark, marks), used += marks;
        else copy[used++] = text[i];
    }
    copy[used] = '\0';
    *out = strtod(copy, NULL);
    return isfinite(*out);
}

/* Reads a number at *at and moves behind it. A mantissa below 2^53 and a power of ten up to 22 are exact
 * doubles, so their product or quotient is rounded once, as strtod's (Clinger 1990); the rest goes to strtod. */
static bool scan_number(const char **at, double *out) {
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *from = *at, *p = from;
    bool minus = *p == '-', point = false;
    if (*p == '-' || *p == '+') p++;
    uint64_t mantissa = 0;
    int64_t digits = 0, kept = 0, power = 0;
    for (; is_digit(*p) || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        digits++;
        if (kept || *p != '0') kept++;
        if (kept <= 19) mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        power -= point;
    }
    if (!digits) return false;
    if ((*p == 'e' || *p == 'E') && (is_digit(p[1]) || ((p[1] == '-' || p[1] == '+') && is_digit(p[2])))) {
        bool down = *++p == '-';
        int64_t exponent = 0;
        if (*p == '-' || *p == '+') p++;
        for (; is_digit(*p); p++) exponent = exponent < 100000 ? exponent * 10 + (*p - '0') : exponent;
        power += down ? -exponent : exponent;
    }
    *at = p;
    if (kept > 19 || mantissa > (uint64_t)1 << 53 || power < -22 || power > 22)
        return by_library(from, (size_t)(p - from), out);
    double value = power < 0 ? (double)mantissa / tens[-power] : (double)mantissa * tens[power];
    *out = minus ? -value : value;
    return true;
}

bool sn_cell_number(const char *cell, double *out) {
    while (is_space(*cell)) cell++;
    double value;
    if (!scan_number(&cell, &value) || !sn_cell_empty(cell)) return false;
    *out = value;
    return true;
}

bool sn_cell_vector(const char *cell, double *out, int64_t room, int64_t *count) {
    *count = 0;
    while (is_space(*cell)) cell++;
    bool list = *cell == '[';
    if (list) cell++;
    for (;;) {
        while (is_space(*cell)) cell++;
        if (!*cell || (list && *cell == ']' && !*count)) break;
        double value;
        if (!scan_number(&cell, &value)) return false;
        if (*count < room) out[*count] = value;
        ++*count;
        const char *end = cell;
        while (is_space(*cell)) cell++;
        if (list && *cell == ']') break;
        if (list && *cell != ',') return false;
        if (!list && end == cell && *cell) return false;
        if (list) cell++;
    }
    if (list && *cell++ != ']') return false;
    return *count > 0 && sn_cell_empty(cell);
}

/* ---- words ---- */

bool sn_cell_binary(const char *cell, int *out) {
    static const struct { const char *no, *yes; } pairs[] = {{"no", "yes"}, {"false", "true"}, {"0", "1"},
                                                             {"f", "t"},    {"n", "y"},        {"off", "on"}};
    while (is_space(*cell)) cell++;
    size_t bytes = strlen(cell);
    while (bytes && is_space(cell[bytes - 1])) bytes--;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        bool no = bytes == strlen(pairs[i].no) && !strncasecmp(cell, pairs[i].no, bytes);
        bool yes = bytes == strlen(pairs[i].yes) && !strncasecmp(cell, pairs[i].yes, bytes);
        if (!no && !yes) continue;
        *out = yes;
        return true;
    }
    return false;
}

/* ---- dates ---- */

/* `digits` digits at *at as a number in low..high. */
static bool part(const char **at, int digits, int low, int high, int *out) {
    *out = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit(**at)) return false;
        *out = *out * 10 + (*(*at)++ - '0');
    }
    return *out >= low && *out <= high;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t days_since_1970(int year, int month, int day) {
    int64_t y = year - (month <= 2), m = month + (month <= 2 ? 9 : -3);
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * m + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool scan_time(const char **at, double *seconds) {
    int hour, minute, second = 0, zone_hours, zone_minutes = 0;
    double fraction = 0, unit = 0.1;
    if (!part(at, 2, 0, 23, &hour) || *(*at)++ != ':' || !part(at, 2, 0, 59, &minute)) return false;
    if (**at == ':') {
        ++*at;
        if (!part(at, 2, 0, 60, &second)) return false;
        if ((**at == '.' || **at == ',') && is_digit((*at)[1])) {
            for (++*at; is_digit(**at); ++*at, unit /= 10) fraction += unit * (**at - '0');
        }
    }
    *seconds += hour * 3600 + minute * 60 + second + fraction;
    if (**at == 'Z' || **at == 'z') {
        ++*at;
    } else if (**at == '+' || **at == '-') {
        bool east = *(*at)++ == '+';
        if (!part(at, 2, 0, 23, &zone_hours)) return false;
        if (**at == ':') ++*at;
        if (is_digit(**at) && !part(at, 2, 0, 59, &zone_minutes)) return false;
        *seconds += (east ? -60.0 : 60.0) * (zone_hours * 60 + zone_minutes);
    }
    return true;
}

bool sn_cell_date(const char *cell, double *out) {
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    while (is_space(*cell)) cell++;
    if (!part(&cell, 4, 0, 9999, &year) || *cell++ != '-' || !part(&cell, 2, 1, 12, &month) || *cell++ != '-' ||
        !part(&cell, 2, 1, lengths[month - 1], &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2 && day == 29 && !leap) return false;
    double seconds = (double)days_since_1970(year, month, day) * 86400;
    if ((*cell == 'T' || *cell == 't' || *cell == ' ') && is_digit(cell[1])) {
        cell++;
        if (!scan_time(&cell, &seconds)) return false;
    }
    if (!sn_cell_empty(cell)) return false;
    *out = seconds;
    return true;
}

/* ---- sets ---- */

static sn_status list_items(const char *cell, sn_item_fn *item, void *context, bool *is_list) {
    json_t *list = json_loads(cell, 0, NULL), *value;
    size_t i;
    *is_list = list != NULL;
    sn_status status = SN_OK;
    json_array_foreach(list, i, value) {
        char *number = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        const char *text = number ? number : json_string_value(value);
        if (text && *text && !json_is_null(value)) status = item(context, text, strlen(text));
        free(number);
        if (status != SN_OK) break;
    }
    json_decref(list);
    return status;
}

sn_status sn_cell_items(const char *cell, sn_item_fn *item, void *context) {
    while (is_space(*cell)) cell++;
    if (*cell == '[') {
        bool is_list;
        sn_status status = list_items(cell, item, context, &is_list);
        if (is_list) return status;
    }
    char separator = strchr(cell, '|') ? '|' : ';';
    while (*cell) {
        const char *end = strchr(cell, separator);
        size_t bytes = end ? (size_t)(end - cell) : strlen(cell), kept = bytes;
        const char *from = cell;
        while (kept && is_space(*from)) from++, kept--;
        while (kept && is_space(from[kept - 1])) kept--;
        if (kept) SN_TRY(item(context, from, kept));
        cell += bytes + (end != NULL);
    }
    return SN_OK;
}

/* ---- media ---- */

bool sn_media_kind(const char *name, sn_kind *out) {
    static const struct { sn_kind kind; const char *endings; } table[] = {
        {SN_KIND_IMAGE, ".jpg .jpeg .png .webp .tif .tiff .gif .bmp .ppm .pgm .pbm .pnm .jp2 .avif .heic .heif .jfif "},
        {SN_KIND_AUDIO, ".wav .mp3 .flac .ogg .oga .opus .m4a .aac .wma .aif .aiff .au .amr .gsm .ulaw .sln .ac3 "},
        {SN_KIND_VIDEO, ".mp4 .mkv .webm .avi .mov .mpg .mpeg .m4v .wmv .flv .3gp .ogv .mts .m2ts "},
    };
    size_t bytes = strlen(name);
    while (bytes && is_space(name[bytes - 1])) bytes--;
    size_t dot = bytes;
    while (dot && name[dot - 1] != '.' && name[dot - 1] != '/') dot--;
    if (dot < 2 || name[dot - 1] != '.' || name[dot - 2] == '/' || bytes - dot + 1 > 6 || bytes == dot) return false;
    char ending[8];
    for (size_t i = dot - 1; i < bytes; i++) {
        char c = name[i];
        ending[i - dot + 1] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    memcpy(ending + (bytes - dot + 1), " ", 2);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strstr(table[i].endings, ending)) continue;
        *out = table[i].kind;
        return true;
    }
    return false;
}
