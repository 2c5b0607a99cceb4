/* Which scripts a text is written in, and whether a chain of thought mixes languages. Languages are
 * told apart by their scripts alone: English and French are the same to this. */
#ifndef DECANT_DATASET_SCRIPTS_H
#define DECANT_DATASET_SCRIPTS_H

#include "core/base/mem.h"

enum script {
    SCRIPT_NONE, /* digits, punctuation, symbols */
    SCRIPT_LATIN,
    SCRIPT_HAN,
    SCRIPT_KANA,
    SCRIPT_HANGUL,
    SCRIPT_CYRILLIC,
    SCRIPT_GREEK,
    SCRIPT_ARABIC,
    SCRIPT_HEBREW,
    SCRIPT_INDIC, /* Devanagari to Sinhala: one for all of them */
    SCRIPT_THAI,
    SCRIPT_OTHER,
    SCRIPT_N
};
const char *script_name(enum script s);
enum script script_of(uint32_t cp);

/* Words by script. Not looked at: code between ``` or `, LaTeX commands and what stands between $,
 * $$, \( \) or \[ \], addresses. A word is a run of letters of one script; of Han, kana, Thai and
 * others written without spaces each letter is one; Latin ones with no space between, as in
 * file.name.js, are one. Single letters of Latin and Cyrillic and up to
 * two Greek ones are variables, not words; nor are "sin", "log", "mod" and their like. */
struct script_counts {
    int64_t n[SCRIPT_N];       /* words in running text */
    int64_t quoted[SCRIPT_N];  /* words within short quotes and brackets: names, citations */
    int64_t longest[SCRIPT_N]; /* most words in a row, not interrupted by another script's */
    int64_t longest_prose;     /* most Latin words in a row with two of "the", "is", "que", ... */
    int64_t n_all;             /* the sum of n */
};
void scripts_count(const char *text, size_t n, struct script_counts *out);

/* Does the reasoning mix languages, judged by the prompt's scripts?
 *
 * - Foreign: words of a script that the prompt does not have (kana brings Han along): at least 4 of
 *   them and the share max_foreign of all words, or 8 in a row. Quoted ones do not count. With
 *   max_foreign 0 a single word is enough.
 * - Latin is at home in every script (names, units): in a text that is not Latin it is foreign when
 *   8 Latin words stand in a row and two of them are such as sentences have ("the", "is", "que"),
 * or when they are half of all words; and the prompt is less than one fifth Latin.
 * - Switched: the prompt's main script has less than a tenth of at least 20 words of the reasoning,
 *   whose own is not a fourth as much of the prompt as the main one (a Chinese question about an
 *   English sentence may be answered in either); or a Japanese prompt, and over 50 Han and next to
 *   no kana.
 *
 * A prompt with fewer than 2 words (a bare formula) allows the reasoning's own main script. On true
 * reason is filled, e.g. "14 of 320 words in Han; the prompt is in Latin". */
enum { SCRIPTS_REASON = 120 };
bool scripts_mixed(const char *prompt, size_t n_prompt, const char *reasoning, size_t n_reasoning,
                   double max_foreign, char reason[SCRIPTS_REASON]);

#endif
