/*
 * smtp_parse - the language of SMTP, for whoever receives mail by it.
 *
 * It has two parts.  The grammar is a shelf of functions: addresses,
 * parameters, a message's octets, and the texts of the neighbours.  The
 * session, from "the session" on, is a machine that speaks with one client: a
 * host moves octets and answers questions, and need not know more of SMTP
 * than what it is asked.  Who writes a host reads the second part.
 *
 * Every function here is a function of its arguments: no I/O, no malloc,
 * no globals, no errno, no locale.  Input is a pointer and a length; it is
 * never modified, need not end in NUL, and may hold any byte.  Results are
 * slices of that input, valid for as long as the caller keeps it.
 * On any value but SMTP_OK the outputs are untouched, unless it says so.
 *
 * Lengths are in octets.  Letters are compared in ASCII, whatever the locale.
 * RFC numbers without a name mean: 5321 SMTP, 1870 SIZE, 3030 CHUNKING,
 * 3461 DSN, 6531 SMTPUTF8, 3629 UTF-8.  "PROXY protocol" is HAProxy's
 * proxy-protocol.txt.
 */
#ifndef SMTP_PARSE_H
#define SMTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const char	*p;
	size_t		 n;
};

enum smtp_status {
	SMTP_OK = 0,
	SMTP_ESYNTAX,		/* not what the grammar says */
	SMTP_ELONG,		/* a limit passed; the function says which */
	SMTP_EUNKNOWN,		/* well formed, but no parameter we know */
	SMTP_EVALUE,		/* a parameter we know, with a wrong value */
	SMTP_EMORE		/* too little of it is there yet */
};

enum {
	SMTP_LINE_MAX = 2048,	/* command line with CRLF; 512 in 4.5.3.1.4 */
	SMTP_DOMAIN_MAX = 255,	/* 4.5.3.1.2 */
	SMTP_MAILBOX_MAX = 900,	/* local@domain; 256 in 4.5.3.1.3: VERP, SRS */
	SMTP_FIELD_MAX = 1024,	/* of a header field, what smtp_header keeps */
	SMTP_DATE_SIZE = 32,	/* "Mon, 23 Nov 2026 23:38:16 +0000" and NUL */
	SMTP_ESCAPED_MAX = 256,	/* of a value in a log */
	SMTP_CHARSET_MAX = 40,	/* RFC 2978, 2.3 */
	SMTP_TRACE_MAX = 2048,	/* octets of a Received field */
	SMTP_WORDS_MAX = 200,	/* of a program or server, for a reply */
	SMTP_PROXY_V1_MAX = 107,	/* with CRLF; PROXY protocol, 2.1 */
	SMTP_AUTH_MAX = 12288,	/* a line of an AUTH exchange, with CRLF
				 * (RFC 4954, 4) */
	SMTP_LOGIN_MAX = 512,	/* of XCLIENT's LOGIN */
	SMTP_CHECK_MAX = 512,	/* what a checkpassword program is told */
	SMTP_TLS_WORD_MAX = 64,	/* of the name of a TLS version or cipher */
	SMTP_NAME_MAX = 255	/* a value used as a file name */
};

/* ---- slices ----------------------------------------------------------- */

/*
 * smtp_slice(text)
 *
 * The slice of a NUL-terminated text, without its NUL.
 */
struct slice smtp_slice(const char *text);

/*
 * smtp_lower(c), smtp_same(a, b), smtp_is(a, text)
 *
 * ASCII case folding of one octet; equality of two slices, and of a slice
 * and a text, under that folding.  Octets over 127 equal only themselves.
 */
char smtp_lower(char c);
bool smtp_same(struct slice a, struct slice b);
bool smtp_is(struct slice a, const char *text);

/*
 * smtp_trim(in)
 *
 * in without the blanks (SP, HT) at either end.
 */
struct slice smtp_trim(struct slice in);

/*
 * smtp_parse_number(in, max, out)
 *
 * Read 1 to 20 digits, the whole of in (size-value, 1870 section 4).
 *
 * in:      the digits.
 * out:     set on SMTP_OK; a value above max is given as max, so that no
 *          number of 20 digits overflows.
 * Returns: SMTP_OK; SMTP_ESYNTAX for none, other octets or over 20 digits.
 */
enum smtp_status smtp_parse_number(struct slice in, uint64_t max,
    uint64_t *out);

/*
 * smtp_has_control(in), smtp_is_text(in)
 *
 * Whether a control character is in it: one of U+0000 to U+001F, U+007F to
 * U+009F, the last ones as UTF-8 has them (C2 80 to C2 9F); what else is in it
 * need not be UTF-8.  Whether the whole of in is UTF-8 (3629) without any of
 * them; nothing is, too.
 *
 * smtp_is_visible(in)
 *
 * Whether in is smtp_is_text, and has none of the characters without width by
 * which two addresses can differ and look the same: U+200B, U+2060, U+FEFF.
 */
bool smtp_has_control(struct slice in);
bool smtp_is_text(struct slice in);
bool smtp_is_visible(struct slice in);

/*
 * smtp_parse_size(in, max, out)
 *
 * Read a number of octets: digits, as smtp_parse_number, and "K" or "M" behind
 * them for so many times 1024 or 1024 * 1024.
 *
 * out:     set on SMTP_OK.
 * Returns: SMTP_OK; SMTP_ESYNTAX; SMTP_ELONG for more than max octets.
 */
enum smtp_status smtp_parse_size(struct slice in, uint64_t max, uint64_t *out);

/*
 * smtp_cut(in, c, part)
 *
 * Cut the first part off a list whose parts have a c between them.  A list of
 * no octets has one part, an empty one, and so has what is behind a last c.
 *
 * in:      moved behind part and its c; behind the last one in->p is NULL.
 * part:    set if there is one.
 * Returns: whether there is one: in->p was not NULL.
 */
bool smtp_cut(struct slice *in, char c, struct slice *part);

/* ---- text ------------------------------------------------------------- */

struct smtp_text {		/* a bounded buffer to write in */
	char		*p;
	size_t		 size;
	size_t		 n;		/* written so far */
	bool		 cut;		/* something did not fit */
};

#define SMTP_TEXT(array) (struct smtp_text){ .p = (array), \
	.size = sizeof(array) }

/*
 * smtp_put(t, s), smtp_puts(t, s), smtp_put_number(t, v)
 *
 * Append a slice, a NUL-terminated text, a number in decimal; what does not
 * fit is cut off, and t->cut tells.
 *
 * smtp_put_escaped(t, s)
 *
 * Append octets from outside, fit to stand between quotes in a log: printable
 * ASCII as it is, but quote and backslash and all else as \xHH; of
 * more than SMTP_ESCAPED_MAX octets the first ones, and "...".
 *
 * smtp_written(t), smtp_string(t)
 *
 * What was written, as a slice; and as a NUL-terminated text, or NULL if
 * it was cut or there is no room for the NUL.
 */
void smtp_put(struct smtp_text *t, struct slice s);
void smtp_puts(struct smtp_text *t, const char *s);
void smtp_put_number(struct smtp_text *t, uint64_t v);
void smtp_put_escaped(struct smtp_text *t, struct slice s);
struct slice smtp_written(const struct smtp_text *t);
const char *smtp_string(struct smtp_text *t);

/*
 * smtp_put_pair(t, key, value, quoted)
 *
 * Append " key=value", as a line of a log has it: the value as it is, or, with
 * quoted, between quotes and as smtp_put_escaped writes it.
 *
 * Returns: false if not all of it fits; then t is what it was.
 *
 * smtp_put_client(t, address, port)
 *
 * Append "[address]:port"; "unknown" for an empty address, and no ":" for an
 * empty port.
 */
bool smtp_put_pair(struct smtp_text *t, const char *key, struct slice value,
    bool quoted);
void smtp_put_client(struct smtp_text *t, struct slice address,
    struct slice port);

/*
 * smtp_put_json(t, s)
 *
 * Append octets from outside as a string of JSON (RFC 8259, 7), with its
 * quotes: what is no UTF-8 becomes U+FFFD, octet by octet.
 */
void smtp_put_json(struct smtp_text *t, struct slice s);

/*
 * smtp_put_once(t, line)
 *
 * Append a line and an LF to a text of such lines, unless it is there already.
 *
 * Returns: false, with nothing appended, if it does not fit.
 */
bool smtp_put_once(struct smtp_text *t, struct slice line);

/* ---- lines ------------------------------------------------------------ */

enum smtp_opening {
	SMTP_OPEN_MORE,		/* too little yet to tell */
	SMTP_OPEN_SMTP,		/* nothing known to be foreign */
	SMTP_OPEN_TLS,		/* a TLS record (RFC 8446, 5.1) */
	SMTP_OPEN_HTTP,		/* the request line of HTTP */
	SMTP_OPEN_PROXY		/* a PROXY protocol header, version 1 or 2 */
};

/*
 * smtp_opening(in)
 *
 * Tell what protocol a connection's first octets belong to.
 *
 * in:      all octets received so far, from the first.
 * Returns: the verdict, the same for every segmentation; SMTP_OPEN_MORE only
 *          while in is a proper prefix of a foreign opening.  A PROXY v2
 *          header begins with an empty line, so in that one case a client
 *          waiting for the reply to an empty line gets SMTP_OPEN_MORE too.
 */
enum smtp_opening smtp_opening(struct slice in);

/*
 * smtp_parse_command(line, verb, arg)
 *
 * Split a command line (4.1.1) at the first blank.
 *
 * line:    without its line end.
 * verb:    set on SMTP_OK; may be empty.
 * arg:     set on SMTP_OK; without blanks at either end; may be empty.
 * Returns: SMTP_OK; SMTP_ESYNTAX if the line holds a control octet (0-31
 *          but HT, and 127), a CR or an LF among them.
 */
enum smtp_status smtp_parse_command(struct slice line, struct slice *verb,
    struct slice *arg);

/*
 * smtp_distance(a, b)
 *
 * How many single slips (an octet wrong, left out, too many, or two
 * neighbours swapped) make b of a, case folded: to guess what verb was meant.
 *
 * Returns: 0 to 8; 9 for more, or if either is over 16 octets long.
 */
unsigned smtp_distance(struct slice a, struct slice b);

/*
 * smtp_cut_line(in, most)
 *
 * Take the first line off a text: up to its LF, which is part of it, or to the
 * end of the text; of a longer one the first octets.
 *
 * in:      not empty; moved past what is returned.
 * most:    octets; not 0.
 */
struct slice smtp_cut_line(struct slice *in, size_t most);

/* ---- addresses -------------------------------------------------------- */

enum {				/* what is taken that RFC 5321 has not */
	SMTP_LENIENT_NO_BRACKETS = 1 << 0,	/* a@b */
	SMTP_LENIENT_BLANK_BEFORE_COLON = 1 << 1,	/* FROM :<a@b> */
	SMTP_LENIENT_BLANK_AFTER_COLON = 1 << 2,	/* FROM: <a@b> */
	SMTP_LENIENT_NAME_BEFORE_BRACKETS = 1 << 3,	/* John <a@b> */
	SMTP_LENIENT_BLANK_IN_BRACKETS = 1 << 4,	/* < a@b > */
	SMTP_LENIENT_DOTS = 1 << 5,		/* .a@b, a.@b, a..a@b */
	SMTP_LENIENT_TRAILING_DOT = 1 << 6,	/* a@b. */
	SMTP_LENIENT_SOURCE_ROUTE = 1 << 7,	/* @c:a@b */
	SMTP_LENIENT_NO_DOMAIN = 1 << 8,	/* a, but not postmaster */
	SMTP_LENIENT_LONG_LOCAL_PART = 1 << 9,	/* over 64 octets */
	SMTP_LENIENT_UNDERSCORE_IN_DOMAIN = 1 << 10,	/* a@b_c */
	SMTP_LENIENT_TAB_FOR_BLANK = 1 << 11,	/* before a parameter */
	SMTP_LENIENT_AUTH_PARAMETER = 1 << 12,	/* AUTH= with no xtext */
	/* these are for the caller to find */
	SMTP_LENIENT_NO_HELO = 1 << 13,		/* MAIL before it */
	SMTP_LENIENT_LF_LINE = 1 << 14,		/* a command ended by LF */
	SMTP_LENIENT_BARE_NEWLINE = 1 << 15,	/* mended in a message */
	SMTP_LENIENT_HELO_NAME = 1 << 16,	/* no domain, no literal */
	SMTP_LENIENT_LONG_LINE = 1 << 17,	/* a command's, over 512 */
	SMTP_LENIENT_NOT_OFFERED = 1 << 18	/* a parameter of what is not */
};

struct smtp_path {
	struct slice	 local;		/* as sent, with its quotes */
	struct slice	 domain;	/* no trailing dot; or "[literal]" */
	bool		 eight_bit;	/* an octet over 127 in either */
	bool		 second_at;	/* an unquoted "@" within local */
	unsigned	 lenient;	/* SMTP_LENIENT_ bits */
};

/*
 * smtp_parse_path(in, keyword, path, rest)
 *
 * Read keyword ":" and the reverse-path or forward-path behind it:
 * "<" [ A-d-l ":" ] Mailbox ">" or "<>" (4.1.2), and what sendmail takes
 * besides: blanks around the colon, no angle brackets, a name before them,
 * blanks within them ("< >" is "<>", too), no domain, a dot behind it.  A
 * source route is checked and dropped (C).  An underscore is taken in domains;
 * and in a local part dots in front, behind and doubled, but not dots only,
 * and not where there is a "/", too.  Octets over 127 pass as atext and in
 * sub-domains (6531, 3.3); that they are UTF-8 without control and invisible
 * characters is smtp_is_visible's to say.
 *
 * in:      the argument of MAIL or RCPT.
 * keyword: "FROM" or "TO"; empty: in begins with the path (VRFY).
 * path:    set on SMTP_OK; both slices empty for "<>"; domain empty where
 *          none is given.  local may hold an unquoted "@" (second_at), so
 *          that the caller can tell relaying in disguise from rubbish.  It may
 *          begin with a dot, and so may what smtp_split_extension makes of it,
 *          which may be "." or "..", too: see smtp_names_file.
 *          lenient: what of it RFC 5321 has not; for VRFY, which takes
 *          anything (4.1.1.6), always 0.  SMTP_LENIENT_TAB_FOR_BLANK: there
 *          is a TAB behind the path, before a parameter or between two.
 * rest:    set on SMTP_OK to what follows, without blanks around it.
 * Returns: SMTP_OK; SMTP_EVALUE if keyword and colon are not there, or what
 *          follows the path does not begin with a blank;
 *          SMTP_ESYNTAX for a bad path, and for a parameter where the path is
 *          missing: without brackets and "@" an esmtp-keyword and "=", and
 *          before brackets the same at once; SMTP_ELONG for a mailbox over
 *          SMTP_MAILBOX_MAX (an "@" is counted where no domain is
 *          given, too) or a domain over SMTP_DOMAIN_MAX.
 */
enum smtp_status smtp_parse_path(struct slice in, const char *keyword,
    struct smtp_path *path, struct slice *rest);

/*
 * smtp_leniency(i, name, rule)
 *
 * What the bit 1 << i of SMTP_LENIENT_ stands for.
 *
 * name:    of it: "no-brackets".
 * rule:    what it is against: "RFC 5321, 4.1.2".
 * Returns: whether there is such a bit.
 */
bool smtp_leniency(unsigned i, struct slice *name, struct slice *rule);

/*
 * smtp_put_lenient(t, lenient)
 *
 * Append the names of SMTP_LENIENT_ bits, in the order of the bits and with
 * commas between: "no-brackets,blank-after-colon".  Nothing for 0.
 */
void smtp_put_lenient(struct smtp_text *t, unsigned lenient);

/*
 * smtp_unquote(local, buf, size, n)
 *
 * The local part a Local-part stands for: without quotes and backslashes
 * (4.1.2, Quoted-string).
 *
 * local:   as smtp_parse_path gave it.
 * buf:     size octets; no NUL is added.  n: set on SMTP_OK.
 * Returns: SMTP_OK; SMTP_ELONG if it does not fit (local.n always does); then
 *          what does is in buf.
 */
enum smtp_status smtp_unquote(struct slice local, char *buf, size_t size,
    size_t *n);

/*
 * smtp_relays(local)
 *
 * Whether a local part, as smtp_parse_path gave it, asks for relaying: it is
 * not quoted, and "%", "!" or "@" is in it.
 */
bool smtp_relays(struct slice local);

/*
 * smtp_split_extension(local, delimiter, user, extension)
 *
 * Split an unquoted local part at the first delimiter behind its first octet.
 *
 * delimiter: one octet; 0 for none.
 * user, extension: set always; extension is empty where there is none.
 */
void smtp_split_extension(struct slice local, char delimiter,
    struct slice *user, struct slice *extension);

/*
 * smtp_names_file(value)
 *
 * Whether a value may be a component of a file name: 1 to SMTP_NAME_MAX
 * octets, not beginning with "." or "-", no "/" and no control character (see
 * smtp_has_control).
 */
bool smtp_names_file(struct slice value);

/*
 * smtp_is_domain(in), smtp_is_host(in), smtp_is_literal(in)
 *
 * Whether the whole of in is a Domain (4.1.2; in UTF-8, 6531, and
 * smtp_is_visible), a Domain in ASCII, or an address-literal in its brackets
 * (4.1.3): each of at most SMTP_DOMAIN_MAX octets.
 */
bool smtp_is_domain(struct slice in);
bool smtp_is_host(struct slice in);
bool smtp_is_literal(struct slice in);

/*
 * smtp_is_charset(in)
 *
 * Whether the whole of in may name a charset (RFC 2978, 2.3): 1 to
 * SMTP_CHARSET_MAX octets.
 */
bool smtp_is_charset(struct slice in);

/*
 * smtp_parse_ip(in, ip)
 *
 * Read an IPv4 or IPv6 address (4.1.3; IPv6 as in RFC 4291, 2.2).
 *
 * ip:      16 octets, set on SMTP_OK; IPv4 as ::ffff:a.b.c.d.
 * Returns: SMTP_OK; SMTP_ESYNTAX if the whole of in is not an address.
 */
enum smtp_status smtp_parse_ip(struct slice in, unsigned char ip[16]);

/*
 * smtp_is_nets(nets)
 *
 * Whether a text lists networks: one or more, between commas or blanks, each
 * an IPv4 or IPv6 address with or without "/" and the number of leading bits
 * that count (RFC 4632, 3.1), or "*".
 *
 * smtp_nets_match(nets, ip)
 *
 * Whether one of the networks holds an address.
 *
 * nets:    as smtp_is_nets takes it.
 * ip:      as smtp_parse_ip gives it; NULL for a client without an address,
 *          whom only "*" matches.  An IPv4 address is in no IPv6 network but
 *          in one of IPv4-mapped addresses (::ffff:0:0/96 and below).
 */
bool smtp_is_nets(struct slice nets);
bool smtp_nets_match(struct slice nets, const unsigned char ip[16]);

/*
 * smtp_domain_matches(pattern, domain)
 *
 * Whether a --domain pattern covers a domain: NAME itself, ".NAME" its
 * subdomains, "*" any.  Case folded.  domain may not be empty.
 */
bool smtp_domain_matches(struct slice pattern, struct slice domain);

/*
 * smtp_list_line(in)
 *
 * The entry of one line of a domain or user list: without "#" and what
 * follows it, a CR at its end, and blanks around it.  Empty for a line without
 * entry.
 */
struct slice smtp_list_line(struct slice in);

/*
 * smtp_user_matches(entry, local, user, domain)
 *
 * Whether an entry of a user list names a recipient: "user@domain", "user"
 * (in any domain) or "@domain" (all of it).  Case folded.
 *
 * local:   unquoted, as a whole.
 * user:    the same without its extension.
 */
bool smtp_user_matches(struct slice entry, struct slice local,
    struct slice user, struct slice domain);

/*
 * smtp_is_user(entry)
 *
 * Whether an entry of a user list can name anybody: local parts that need
 * quotes cannot stand there.
 */
bool smtp_is_user(struct slice entry);

/*
 * smtp_domains_hold(list, domain), smtp_users_hold(list, local, user, domain)
 *
 * Whether a line of a whole list has an entry that covers the domain, or names
 * the recipient: as smtp_list_line, and smtp_domain_matches or
 * smtp_user_matches, say of each line, but much faster.  A list of a million
 * entries is gone through once, and few of them are looked at.
 *
 * list:    any octets, a line up to each LF and behind the last one.
 * domain:  for smtp_domains_hold not empty.
 */
bool smtp_domains_hold(struct slice list, struct slice domain);
bool smtp_users_hold(struct slice list, struct slice local,
    struct slice user, struct slice domain);

struct smtp_values {
	struct slice	 user;		/* unquoted, without extension */
	struct slice	 domain;
	struct slice	 extension;	/* empty for none */
};

/*
 * smtp_is_template(path)
 *
 * Whether a path holds {user}, {domain} or {extension}; other braces are
 * only braces.
 *
 * smtp_expand(template, values, extended, out)
 *
 * Write the path that a template makes of the values: user and domain in
 * lower case.  A component that holds {extension} is left out, with its
 * slash, unless extended.
 *
 * out:     written on SMTP_OK, with a NUL behind it.  Touched on the others.
 * Returns: SMTP_OK; SMTP_EVALUE if a value that is used names no file (see
 *          smtp_names_file), if a component with a placeholder comes to more
 *          than SMTP_NAME_MAX octets, or if one with {extension} comes to
 *          "tmp", "new" or "cur", in any case: a Maildir's own; SMTP_ELONG if
 *          out is too small.
 */
bool smtp_is_template(struct slice path);
enum smtp_status smtp_expand(struct slice template,
    const struct smtp_values *v, bool extended, struct smtp_text *out);

/*
 * smtp_values_of(v, local, domain, delimiter, buf)
 *
 * The values of a recipient, by smtp_unquote and smtp_split_extension.
 *
 * local:   as smtp_parse_path gave it, SMTP_MAILBOX_MAX octets at most.
 * buf:     v points into it.
 *
 * smtp_fixed(template)
 *
 * What a template's path has before its first "{", as a directory: up to the
 * last "/" there, and empty if there is none.
 *
 * smtp_hash(address)
 *
 * A number that two addresses have in common that are smtp_same (FNV-1a).
 */
void smtp_values_of(struct smtp_values *v, struct slice local,
    struct slice domain, char delimiter, char buf[SMTP_MAILBOX_MAX]);
struct slice smtp_fixed(struct slice template);
uint32_t smtp_hash(struct slice address);

struct smtp_rcpt {		/* one of the recipients of a message */
	struct slice	 local;		/* as sent; adjoining "@" and domain */
	struct slice	 domain;
	uint64_t	 key[2];	/* the caller's: see smtp_rcpt_group */
	bool		 extended;	/* the caller's */
	bool		 loops;		/* it had the message before */
	size_t		 same;		/* the first one that is equal */
	size_t		 box;		/* who have the same share a copy */
	uint32_t	 hash;
	size_t		 next;
};

struct smtp_rcpt_index {	/* by address; all zero, to begin */
	uint16_t	 first[4096];
};

/*
 * smtp_rcpt_address(r)
 *
 * local, "@" and domain.
 *
 * smtp_rcpt_enter(index, all, n)
 *
 * Enter all[n], whose local, domain and key are set: find out which recipient
 * is the first that is equal, the octets of its local part compared as they
 * are, those of its domain case folded.
 *
 * all:     SMTP_RCPTS_MAX recipients at most.
 *
 * smtp_rcpt_loops(index, all, address)
 *
 * The message was at an address before (a Delivered-To field says so): mark
 * the recipients that have it, case folded.  Whether there is one.
 *
 * smtp_rcpt_forget(index, all, n)
 *
 * Take all of them out of the index.
 *
 * smtp_rcpt_group(all, n, first)
 *
 * Give each recipient a box, from 0 on: the same to those that are equal, and
 * to those whose keys are the same.
 *
 * first:   n numbers; set to the first recipient of each box.
 * Returns: how many boxes there are.
 *
 * smtp_rcpt_next(all, n, i)
 *
 * The next recipient of a box behind all[i] that is not equal to one before;
 * n if there is none.
 *
 * smtp_rcpt_all_loop(all, n, i)
 *
 * Whether all recipients of a box had the message before.
 *
 * i:       the first of them.
 */
enum { SMTP_RCPTS_MAX = 65534 };
struct slice smtp_rcpt_address(const struct smtp_rcpt *r);
void smtp_rcpt_enter(struct smtp_rcpt_index *index, struct smtp_rcpt *all,
    size_t n);
bool smtp_rcpt_loops(const struct smtp_rcpt_index *index,
    struct smtp_rcpt *all, struct slice address);
void smtp_rcpt_forget(struct smtp_rcpt_index *index,
    const struct smtp_rcpt *all, size_t n);
size_t smtp_rcpt_group(struct smtp_rcpt *all, size_t n, size_t *first);
size_t smtp_rcpt_next(const struct smtp_rcpt *all, size_t n, size_t i);
bool smtp_rcpt_all_loop(const struct smtp_rcpt *all, size_t n, size_t i);

/*
 * smtp_is_domain_pattern(in)
 *
 * Whether in is what --domain takes: a domain (4.1.2), one behind a ".", an
 * address literal, "*", or the name of a file behind an "@".
 */
bool smtp_is_domain_pattern(struct slice in);

/*
 * smtp_is_delimiter(in)
 *
 * Whether in may stand between user and extension: one visible ASCII character
 * that is none of @ " \ and /, or none at all.
 */
bool smtp_is_delimiter(struct slice in);

/*
 * smtp_parse_server(in, ip, port)
 *
 * Read the address of a server: an IPv4 address, or one of either kind in
 * brackets, ":", and a port, to 65535; 0 is for one that listens at any.
 *
 * ip:      set on SMTP_OK, as smtp_parse_ip gives it.
 * port:    set on SMTP_OK.
 * Returns: SMTP_OK; SMTP_ESYNTAX, for the name of a host, too.
 */
enum smtp_status smtp_parse_server(struct slice in, unsigned char ip[16],
    unsigned *port);

/* ---- programs --------------------------------------------------------- */

/*
 * smtp_put_address(t, local, domain)
 *
 * Append local "@" domain, the local part without its quotes where it does not
 * need them; as it was sent where it does.  What was sent without quotes gets
 * none, whatever its dots.  No "@" for an empty domain.
 *
 * smtp_needs_quotes(local)
 *
 * Whether a local part, as smtp_parse_path gave it, can be written only as a
 * Quoted-string: what its quotes hold is no Dot-string (4.1.2), or would ask
 * for relaying without them.  "a..b" needs its quotes, which keep it RFC 5321's
 * for those who are stricter than we are; without quotes it needs none.
 */
void smtp_put_address(struct smtp_text *t, struct slice local,
    struct slice domain);
bool smtp_needs_quotes(struct slice local);

struct smtp_arguments {		/* .p NULL: not to be replaced */
	struct slice	 recipient;	/* as smtp_put_address writes it */
	struct slice	 user;		/* unquoted, without extension */
	struct slice	 domain;
	struct slice	 extension;	/* empty for none */
	struct slice	 sender;	/* as smtp_put_address writes it */
	bool		 quoted;	/* recipient's local part must be */
	bool		 sender_quoted;	/* sender's does */
};

/*
 * smtp_has_argument(arg)
 *
 * Whether an argument holds {recipient}, {user}, {domain}, {extension}
 * or {sender}; other braces, {recipients} among them, are only braces.
 *
 * smtp_put_argument(t, arg, values)
 *
 * Append what an argument becomes when its placeholders are replaced, once:
 * what a value brings is not looked at again.  user and domain are written in
 * lower case.
 *
 * Returns: SMTP_OK; SMTP_ELONG if t is too small (t->cut is set); SMTP_EVALUE
 *          if a value may not stand there: its local part needs its quotes;
 *          the outcome begins with "-" and the argument did not; or it holds a
 *          "/" or begins with ".", being user, domain or extension, or being
 *          in an argument that has a "/" of its own.  An extension may begin
 *          with ".", but not be "." or "..".  SMTP_EVALUE goes before
 *          SMTP_ELONG.  t is touched on all of them.
 */
bool smtp_has_argument(struct slice arg);
enum smtp_status smtp_put_argument(struct smtp_text *t, struct slice arg,
    const struct smtp_arguments *values);

enum smtp_behind {		/* what an argument stands behind */
	SMTP_BEHIND_NOTHING,	/* to begin with */
	SMTP_BEHIND_COMMAND,	/* an option whose argument may be a command */
	SMTP_BEHIND_SHELL,	/* a -c: further options may come between */
	SMTP_BEHIND_NAME	/* a -c and a -o, which has a word of its own */
};

/*
 * smtp_is_command(behind, arg)
 *
 * Whether an argument has a placeholder ({recipient}, {user}, {domain},
 * {extension}, {sender}, {recipients}) where what it brings may be run as a
 * command, by a shell or by another program.  Ask it of the arguments of a
 * program from the first to the last.  It may:
 *
 * - beside a blank, a quote (' " `), one of | & ; < > ( ) $ \ * ? [ ] # ~ ! or
 *   a control character, outside the placeholders;
 * - behind an option that may take a command: "-" and up to five letters, a
 *   "c" among them (-c, -lc, -exec), or up to three that end in "e" (-e, -pe);
 *   "--" and command, exec, execute, eval or expression, cut short or behind
 *   other words, too (--exe, --session-command);
 * - in one word with such an option: -c{user}, --command={user};
 * - behind an option with a "c" and further words that begin with "-" or "+",
 *   which shells take as options before the command (-c -x -- {user}); the
 *   word of a -o there is as bad.
 *
 * behind:  SMTP_BEHIND_NOTHING, to begin; then what the call before has left.
 */
bool smtp_is_command(enum smtp_behind *behind, struct slice arg);

/*
 * smtp_fits_environment(value)
 *
 * Whether a value may stand in a program's environment: smtp_is_text, and not
 * "()" in front, which old shells run.
 */
bool smtp_fits_environment(struct slice value);

/*
 * smtp_put_variable(t, name, value)
 *
 * Append a variable of a program's environment: NAME "=" value and a NUL.
 *
 * Returns: whether it was; t is untouched if not, as the value does not
 *          smtp_fits_environment, or all of it does not fit in t.
 */
bool smtp_put_variable(struct smtp_text *t, const char *name,
    struct slice value);

/*
 * smtp_parse_enhanced(in, class, code, text)
 *
 * Read an enhanced status code (RFC 3463, 2) and the words behind it:
 * class "." 1*3digit "." 1*3digit SP text, as a delivery program says them.
 * No leading zeros.
 *
 * in:      without its line end.
 * class:   '2', '4' or '5'; 0: '4' or '5'.
 * code:    set on SMTP_OK: "4.2.2".
 * text:    set on SMTP_OK: without blanks at either end; never empty.
 * Returns: SMTP_OK; SMTP_ESYNTAX; SMTP_EVALUE if it is of another class.
 */
enum smtp_status smtp_parse_enhanced(struct slice in, char class,
    struct slice *code, struct slice *text);

struct smtp_last {		/* all zero, to begin */
	char		 text[SMTP_WORDS_MAX];
	size_t		 n;
	bool		 ended;		/* its newline was seen */
	bool		 unfit;		/* too long, or not printable ASCII */
	bool		 cr;		/* a CR was, that may begin CRLF */
};

/*
 * smtp_last(l, in)
 *
 * Look at the next octets of a program's output, in pieces of any size, for its
 * last line that is not empty.
 *
 * smtp_last_line(l)
 *
 * That line, without its line end (LF or CRLF); empty if there is none, or if
 * it has more than SMTP_WORDS_MAX octets or others than printable ASCII, a CR
 * that no LF follows among them.
 */
void smtp_last(struct smtp_last *l, struct slice in);
struct slice smtp_last_line(const struct smtp_last *l);

struct smtp_argued {		/* points into itself: not to be copied */
	struct smtp_arguments v;
	struct slice	 local;		/* the recipient's, unquoted, whole */
	char		 local_text[SMTP_MAILBOX_MAX];
	char		 recipient[SMTP_MAILBOX_MAX];
	char		 sender[SMTP_MAILBOX_MAX];
};

/*
 * smtp_argue(a, recipient, delimiter, sender, null)
 *
 * Make the values of an envelope.
 *
 * a:         set.
 * recipient: its local and domain count; NULL: none, and its values are not
 *            to be replaced.
 * delimiter: of the extension; 0 for none.
 * sender:    local@domain; empty for the null sender, which null stands for.
 */
void smtp_argue(struct smtp_argued *a, const struct smtp_rcpt *recipient,
    char delimiter, struct slice sender, struct slice null);

/*
 * smtp_put_arguments(t, args, v, all, n)
 *
 * Append what the arguments of a program become, each as smtp_put_argument
 * writes it and with a NUL behind it.  One that is "{recipients}" becomes an
 * argument for each recipient that does not loop.
 *
 * args:    ended by NULL.
 * all:     NULL: "{recipients}" is "{recipient}".
 * Returns: as smtp_put_argument.
 *
 * smtp_is_recipients(arg)
 *
 * Whether an argument is "{recipients}".
 */
enum smtp_status smtp_put_arguments(struct smtp_text *t, char *const args[],
    const struct smtp_arguments *v, const struct smtp_rcpt *all, size_t n);
bool smtp_is_recipients(const char *arg);

struct smtp_words {		/* a program and its arguments */
	char		 text[1024];
	char		*argv[64];	/* into it; the last one used is NULL */
};

/*
 * smtp_parse_words(in, words)
 *
 * Split a command line at blanks into an argument vector.  There is no
 * quoting.
 *
 * words:   filled on SMTP_OK; touched on the others.
 * Returns: SMTP_OK; SMTP_ESYNTAX for no word; SMTP_ELONG if in has over 63
 *          words, or over 1023 octets.
 */
enum smtp_status smtp_parse_words(struct slice in, struct smtp_words *words);

struct smtp_program {		/* all zero, to begin */
	bool		 begun;
	bool		 once;		/* it has {recipients}: a run for all */
	bool		 one;		/* it has what is one recipient's */
	enum smtp_behind behind;
};

/*
 * smtp_program_word(p, arg)
 *
 * Check the words of a program that is to get messages, from its name to its
 * last argument.  {recipients} counts where it is the whole of an argument;
 * {recipient}, {user}, {domain} and {extension} are one recipient's.
 *
 * p:       what is known of the program so far.
 * Returns: NULL, or what is wrong with this word: it is the name, and empty or
 *          a placeholder; a second {recipients}; {recipients}, and another is
 *          one recipient's; or a placeholder is where smtp_is_command has a
 *          command.  Behind a bad one no other counts.
 */
const char *smtp_program_word(struct smtp_program *p, struct slice arg);

/*
 * smtp_put_place(t, dirs, name)
 *
 * Append the next path where a program may be found, as execvp(3) looks for it:
 * in the directories of PATH, or, if it has a slash, nowhere else.
 *
 * dirs:    the value of PATH, to begin; moved on.
 * Returns: false if there is no further place.
 */
bool smtp_put_place(struct smtp_text *t, struct slice *dirs,
    struct slice name);

/*
 * smtp_has_misspelt(text, argument)
 *
 * Whether a word in braces is nearly the name of a placeholder (smtp_distance
 * of 1 or 2), or the name of one that does not hold there.
 *
 * text:    a template, which knows user, domain and extension; or a program's
 *          argument, which knows all (see smtp_is_command).
 */
bool smtp_has_misspelt(struct slice text, bool argument);

/* ---- keys ------------------------------------------------------------- */

struct smtp_sha256 {		/* all zero, to begin */
	uint32_t	 h[8];
	uint64_t	 octets;
	unsigned char	 block[64];
};

/*
 * smtp_sha256(s, in), smtp_sha256_end(s, hex)
 *
 * SHA-256 (FIPS 180-4) of octets in pieces of any size, up to 2^61 - 1 in all;
 * and its value, in 64 digits without a NUL.  Then s is of no more use.
 */
void smtp_sha256(struct smtp_sha256 *s, struct slice in);
void smtp_sha256_end(struct smtp_sha256 *s, char hex[64]);

struct smtp_key {		/* all zero, to begin */
	struct smtp_sha256 sum;
	uint64_t	 octets;	/* of the part that was begun last */
	bool		 begun;		/* what is skipped is behind us */
	bool		 in_field;	/* a Received field */
	bool		 behind;	/* at the line behind one */
	size_t		 named;		/* octets in name: of the next */
	char		 name[9];
};

/*
 * smtp_key_message(k, in), smtp_key_next(k, in), smtp_key_end(k, hex)
 *
 * Make the key of a delivery: the same whenever it is tried again, by whatever
 * way the message came; with one octet changed it is another.  It is SHA-256
 * over the message, the sender and the recipients, and behind each an LF, how
 * many octets it has, in decimal, and an LF.
 *
 * in:      of smtp_key_message, which comes first, the next octets of the
 *          message, line ends LF; the Received fields that it begins with do
 *          not count.  Of smtp_key_next the sender, then each recipient.
 * hex:     64 digits, without a NUL.  Then k is of no more use; but a copy of
 *          it from before is, for another recipient.
 */
void smtp_key_message(struct smtp_key *k, struct slice in);
void smtp_key_next(struct smtp_key *k, struct slice in);
void smtp_key_end(struct smtp_key *k, char hex[64]);

/* ---- policy ----------------------------------------------------------- */

enum smtp_action {
	SMTP_PASS,		/* DUNNO, OK, DEFER_IF_REJECT */
	SMTP_REFUSE,		/* REJECT, DEFER, DEFER_IF_PERMIT, 4xx, 5xx */
	SMTP_PREPEND,		/* a header field */
	SMTP_WARN,		/* WARN, INFO: to be logged */
	SMTP_OTHER		/* not known, or PREPEND of no header field */
};

struct smtp_policy {
	enum smtp_action action;
	struct slice	 all;		/* the action with its text */
	struct slice	 code;		/* SMTP_REFUSE: "450" */
	struct slice	 enhanced;	/* "4.7.1", or empty: none was given */
	struct slice	 text;		/* may be empty */
};

/*
 * smtp_parse_policy(in, p)
 *
 * Read the reply of a policy server: lines "name=value", ended by an empty
 * one; the first "action" counts (Postfix, SMTPD_POLICY_README; access(5)).
 * Names and actions are compared case folded; line ends are LF or CRLF.  All
 * other lines are passed over, and what follows the empty one.
 *
 * in:      all that the server has sent since the request.
 * p:       set on SMTP_OK.  code: of REJECT "554", of DEFER and
 *          DEFER_IF_PERMIT "450"; these may point to constants.  enhanced is
 *          of code's class, else it counts as text.  text: without blanks
 *          at either end; for SMTP_PREPEND the whole field, which is UTF-8
 *          without control characters but HT.
 * Returns: SMTP_OK; SMTP_EMORE while there is no empty line; SMTP_ESYNTAX
 *          for a reply without an action.
 */
enum smtp_status smtp_parse_policy(struct slice in, struct smtp_policy *p);

/*
 * smtp_put_words(t, s)
 *
 * Append words from outside, fit for a reply: the first SMTP_WORDS_MAX
 * octets, what is not printable ASCII as "?".
 */
void smtp_put_words(struct smtp_text *t, struct slice s);

struct smtp_question {		/* empty: not known, or there is none */
	struct slice	 state;		/* "RCPT" */
	bool		 local;		/* the client is a program of this
					 * machine: 127.0.0.1, localhost */
	struct slice	 protocol;	/* "ESMTP" */
	struct slice	 address;	/* the client's */
	struct slice	 name;
	struct slice	 port;
	struct slice	 server;	/* our own address */
	struct slice	 server_port;
	struct slice	 helo;
	struct slice	 sender;
	struct slice	 recipient;	/* the only one */
	uint64_t	 recipients;	/* how many; 0 before DATA */
	struct slice	 instance;	/* a name of the message */
	uint64_t	 size;		/* as declared, 0 if it was not; at its
					 * end what it is */
	struct slice	 etrn;		/* what ETRN asks for */
	struct slice	 login_method;
	struct slice	 login;
	struct slice	 tls_version;
	struct slice	 tls_cipher;
};

/*
 * smtp_put_question(t, q)
 *
 * Append what a policy server is asked at a step: all attributes that
 * Postfix sends, and an empty line (SMTPD_POLICY_README); what we can't know of
 * them is empty, or 0.
 * Whatever a value is, it is one value: a control octet in it is written as
 * "?".
 */
void smtp_put_question(struct smtp_text *t, const struct smtp_question *q);

/* ---- neighbours ------------------------------------------------------- */

struct smtp_proxy {
	bool		 local;		/* LOCAL, UNKNOWN or no IP: the peer
					 * is who it was, the rest is unset */
	bool		 ipv6;
	unsigned char	 source[16];	/* as smtp_parse_ip gives them */
	unsigned char	 destination[16];
	unsigned	 source_port;
	unsigned	 destination_port;
	bool		 tls;		/* the client's side is encrypted */
	struct slice	 tls_version;	/* "TLSv1.3", or empty */
	struct slice	 tls_cipher;	/* or empty */
};

/*
 * smtp_parse_proxy(in, proxy, used)
 *
 * Read the header of the PROXY protocol, version 1 (2.1: TCP4, TCP6,
 * UNKNOWN) or 2 (2.2: LOCAL or PROXY; AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC).
 * TLVs are passed over, but PP2_TYPE_SSL (2.2.5), which sets tls where it has
 * PP2_CLIENT_SSL, with its version and cipher where they are printable ASCII
 * without blanks, 64 octets at most each.  LOCAL may bring TLVs: passed over.
 *
 * in:      all octets of the connection so far, from the first.
 * proxy:   set on SMTP_OK.
 * used:    set on SMTP_OK: octets of the header; not one more is looked at.
 * Returns: SMTP_OK; SMTP_EMORE while in may become a header; SMTP_ESYNTAX,
 *          as soon as it can't: version 1 may have SMTP_PROXY_V1_MAX octets.
 *          Bad TLVs are bad syntax.
 */
enum smtp_status smtp_parse_proxy(struct slice in, struct smtp_proxy *proxy,
    size_t *used);

enum smtp_x {			/* attributes of XCLIENT */
	SMTP_X_NAME,
	SMTP_X_ADDR,
	SMTP_X_PORT,
	SMTP_X_PROTO,
	SMTP_X_HELO,
	SMTP_X_LOGIN,
	SMTP_X_DESTADDR,
	SMTP_X_DESTPORT,
	SMTP_X_ATTRIBUTES
};

struct smtp_xclient {
	bool		 given[SMTP_X_ATTRIBUTES];
	struct slice	 value[SMTP_X_ATTRIBUTES];	/* empty: not given, or
					 * [UNAVAILABLE], [TEMPUNAVAIL] */
	unsigned char	 addr[16];	/* ADDR and DESTADDR, if not empty, as
					 * smtp_parse_ip gives them */
	unsigned char	 destaddr[16];
	unsigned	 port;		/* PORT and DESTPORT, if not empty */
	unsigned	 destport;
	char		 text[SMTP_LINE_MAX];	/* what value points into */
};

/*
 * smtp_parse_xclient(in, x)
 *
 * Read the argument of XCLIENT: 1*(SP attribute "=" xtext) (Postfix,
 * XCLIENT_README; xtext: 3461, 4).
 *
 * in:      the argument of the command.
 * x:       set on SMTP_OK.  NAME and HELO are at most SMTP_DOMAIN_MAX
 *          octets, NAME is a Domain; ADDR and DESTADDR are IPv4 addresses or
 *          IPv6 ones behind "IPV6:", which value lacks; PORT and DESTPORT
 *          are numbers up to 65535; PROTO is SMTP, ESMTP or LMTP; LOGIN is
 *          smtp_is_text, SMTP_LOGIN_MAX octets at most.  No value holds a
 *          control character.  An attribute given twice is what it was last.
 * Returns: SMTP_OK; SMTP_ESYNTAX for what is no list of attributes;
 *          SMTP_EUNKNOWN for an attribute not known; SMTP_EVALUE for a bad
 *          value.  x is touched on all of them.
 */
enum smtp_status smtp_parse_xclient(struct slice in, struct smtp_xclient *x);

/*
 * smtp_base64(in, buf, size, n)
 *
 * Decode base64 (RFC 4648, 4), strictly: groups of four, padding only at the
 * end and with zero bits, no blanks.  Blanks around a line of base64 are the
 * caller's to cut (smtp_trim): in a command smtp_parse_command has done so.
 *
 * buf:     size octets; no NUL is added.  n: set on SMTP_OK.  An empty in
 *          is no octets.
 * Returns: SMTP_OK; SMTP_ESYNTAX; SMTP_ELONG if it does not fit.  buf is
 *          touched on all of them.
 */
enum smtp_status smtp_base64(struct slice in, char *buf, size_t size,
    size_t *n);

/*
 * smtp_parse_plain(in, authzid, authcid, passwd)
 *
 * Split the message of PLAIN: [authzid] NUL authcid NUL passwd (RFC 4616, 2).
 *
 * in:      as smtp_base64 decoded it.
 * Returns: SMTP_OK; SMTP_ESYNTAX, also for an empty authcid or passwd, and for
 *          an authcid with a control character (see smtp_has_control); passwd
 *          may hold any octet but NUL.
 */
enum smtp_status smtp_parse_plain(struct slice in, struct slice *authzid,
    struct slice *authcid, struct slice *passwd);

/*
 * smtp_put_password(t, user, password, seconds)
 *
 * Append what a checkpassword program is told: name, password and time, a NUL
 * behind each (cr.yp.to/checkpwd/interface.html).
 *
 * t:       empty, of SMTP_CHECK_MAX octets: more must not be told.
 */
void smtp_put_password(struct smtp_text *t, struct slice user,
    struct slice password, uint64_t seconds);

/*
 * smtp_is_tls_word(in)
 *
 * Whether the name of a TLS version or cipher may be written in a Received
 * field's comment: 1 to 64 octets, letters, digits, ".", "-", "_", "/", ":"
 * or "+".
 */
bool smtp_is_tls_word(struct slice in);

struct smtp_tls {		/* all zero, to begin */
	char		 version[SMTP_TLS_WORD_MAX];
	size_t		 version_n;	/* 0: not known */
	char		 cipher[SMTP_TLS_WORD_MAX];
	size_t		 cipher_n;
	char		 entry[80];	/* the one that is coming */
	size_t		 entry_n;
};

/*
 * smtp_tls(t, in)
 *
 * Look at the next octets, in pieces of any size, of what a launcher tells when
 * TLS has begun (UCSPI-TLS): "NAME=value" entries, a NUL behind each, and an
 * empty one at the end.  SSL_PROTOCOL and SSL_CIPHER are kept where they are
 * smtp_is_tls_word, the last one of each; others, of any length, are passed
 * over.
 *
 * Returns: whether the end was seen; what is behind it is not looked at.
 */
bool smtp_tls(struct smtp_tls *t, struct slice in);

/*
 * smtp_unbracket(in)
 *
 * in without the brackets around it, in which some write an IPv6 address;
 * brackets around nothing stay.
 *
 * smtp_parse_port(in, port)
 *
 * Read a port's number as a launcher or a person writes it, with zeros in
 * front or not.
 *
 * port:    set on SMTP_OK, up to 65535.
 * Returns: SMTP_OK; SMTP_ESYNTAX.
 */
struct slice smtp_unbracket(struct slice in);
enum smtp_status smtp_parse_port(struct slice in, unsigned *port);

struct smtp_launched {		/* slices and names point into env */
	bool		 any;		/* there is a launcher */
	bool		 relay;		/* RELAYCLIENT is set */
	bool		 named;		/* TCPREMOTEIP or REMOTE_HOST tells of a
					 * client, in whatever words */
	bool		 client;	/* its address is known: ip */
	unsigned char	 ip[16];	/* as smtp_parse_ip gives it */
	struct slice	 port;		/* empty: unknown */
	struct slice	 name;		/* empty: unknown */
	bool		 server;	/* our own address is */
	unsigned char	 server_ip[16];
	unsigned	 server_port;	/* 0: unknown */
	const char	*skipped[4];	/* variables that did not parse */
	size_t		 nskipped;
};

/*
 * smtp_launched(env, l)
 *
 * Read what the launcher of a server tells of the connection: address and port
 * of the client from the first pair that has an address, of TCPREMOTEIP and
 * TCPREMOTEPORT (UCSPI), REMOTE_ADDR and REMOTE_PORT (systemd.exec(5)),
 * REMOTE_HOST and REMOTE_PORT (stunnel, xinetd), SOCAT_PEERADDR and
 * SOCAT_PEERPORT, NCAT_REMOTE_ADDR and NCAT_REMOTE_PORT; its name from
 * TCPREMOTEHOST, of UCSPI alone; our own address from TCPLOCALIP and
 * TCPLOCALPORT.  An empty value is none.
 *
 * env:     "NAME=value" entries, and NULL.
 * l:       set.  Skipped is what is there and is neither address, port nor
 *          Domain; but the last three pairs may have a name or a path instead
 *          of an address.
 */
void smtp_launched(char *const env[], struct smtp_launched *l);

/* ---- parameters ------------------------------------------------------- */

enum {				/* extensions whose parameters are known */
	SMTP_WITH_PRDR = 1	/* MAIL PRDR */
};

struct smtp_mail {
	bool		 has_size;
	uint64_t	 size;		/* 1870; UINT64_MAX: that or more */
	bool		 smtputf8;	/* 6531 */
	bool		 prdr;
	bool		 dsn;		/* RET or ENVID were there (3461) */
	unsigned	 lenient;	/* SMTP_LENIENT_AUTH_PARAMETER, or 0 */
};

/*
 * smtp_parse_mail(in, with, mail)
 *
 * Read the parameters of MAIL: *(SP esmtp-param) (4.1.2).  Known are SIZE,
 * BODY (7BIT, 8BITMIME), SMTPUTF8, RET, ENVID, AUTH; PRDR by with.
 *
 * in:      what smtp_parse_path left; may be empty.
 * mail:    set on SMTP_OK.
 * Returns: SMTP_OK; SMTP_ESYNTAX for what is no esmtp-param;
 *          SMTP_EUNKNOWN for one not known; SMTP_EVALUE for a wrong
 *          value or one given twice.  The first that applies, in order.
 *          Of RET and ENVID any value will do.  So it will of AUTH, even
 *          none, an empty one, or one with "=" in it: where it is no xtext
 *          (RFC 4954, 5), lenient tells.
 */
enum smtp_status smtp_parse_mail(struct slice in, unsigned with,
    struct smtp_mail *mail);

/*
 * smtp_parse_rcpt(in, dsn)
 *
 * Read the parameters of RCPT: NOTIFY and ORCPT (3461) are known.
 *
 * dsn:     set on SMTP_OK: whether either was there.
 * Returns: as smtp_parse_mail.
 */
enum smtp_status smtp_parse_rcpt(struct slice in, bool *dsn);

/*
 * smtp_parse_bdat(in, size, last)
 *
 * Read the argument of BDAT: chunk-size [SP "LAST"] (3030, 2).
 *
 * size:    set on SMTP_OK; octets of the chunk.
 * last:    set on SMTP_OK.
 * Returns: SMTP_OK; SMTP_ESYNTAX; SMTP_ELONG for a size beyond 63 bits.
 */
enum smtp_status smtp_parse_bdat(struct slice in, uint64_t *size, bool *last);

/* ---- options ---------------------------------------------------------- */

enum smtp_kind {		/* of a value, and what to points at */
	SMTP_KIND_FLAG,		/* bool: true once it is given */
	SMTP_KIND_NUMBER,	/* uint64_t: from min to max */
	SMTP_KIND_SIZE,		/* uint64_t: as smtp_parse_size has it */
	SMTP_KIND_ONE,		/* unsigned: a bit, by the place of the one of
				 * words that was chosen; 0: none */
	SMTP_KIND_SOME,		/* unsigned: a bit for each that was; several
				 * have commas between */
	SMTP_KIND_DELIMITER,	/* char: see smtp_is_delimiter; 0: none */
	/* const char *: the value as it was given; NULL: none was */
	SMTP_KIND_MAYBE,	/* any; empty, where it has none */
	SMTP_KIND_TEXT,		/* not empty */
	SMTP_KIND_HOST,		/* smtp_is_host */
	SMTP_KIND_NETS,		/* smtp_is_nets */
	SMTP_KIND_CHARSET,	/* smtp_is_charset; NULL: "off" */
	SMTP_KIND_DOMAIN,	/* smtp_is_domain_pattern; may be repeated, and
				 * this is the last one */
	SMTP_KIND_SERVER,	/* for smtp_parse_server, a path, or words */
	SMTP_KIND_OTHER		/* the caller's affair: neither set nor told */
};

struct smtp_option {
	char		 letter;	/* 0: none */
	const char	*name;		/* "": none */
	const char	*arg;		/* what help calls it, "[=FILE]" where
					 * it may be missing; NULL: none */
	enum smtp_kind	 kind;
	void		*to;		/* where the value goes */
	uint64_t	 min, max;
	const char	*words;		/* to choose from, a blank between */
	const char	*help;
};

/*
 * smtp_option_set(o, value, t)
 *
 * Check the value that an option was given, and keep it.
 *
 * value:   it is kept, not copied, where the kind is a text.
 * t:       room for 80 octets and words, for what is wrong.
 * Returns: NULL; or what is wrong, in words, and *o->to is untouched.
 */
const char *smtp_option_set(const struct smtp_option *o, const char *value,
    struct smtp_text *t);

/*
 * smtp_option_get(o, t, value)
 *
 * Tell the value that holds, so that smtp_option_set would take it.  Of
 * SMTP_KIND_MAYBE it may be empty.
 *
 * t:       empty room for 20 octets and for words.
 * value:   set if it is true: it points into t, or is the text itself.
 * Returns: whether a value holds: not for a flag that is false, no choice, and
 *          no text but SMTP_KIND_CHARSET's.
 */
bool smtp_option_get(const struct smtp_option *o, struct smtp_text *t,
    struct slice *value);

/*
 * smtp_option_line(o, n, line, found, name, value)
 *
 * Read a line of a configuration file: an option's name, case folded, and its
 * value behind blanks; or a comment, which begins with "#"; or nothing.
 *
 * o:       n options; those with an arg take a value.
 * line:    without its LF; a CR at its end belongs to that.
 * found:   set; NULL for a comment and for nothing.
 * name:    set; as it stands there.
 * value:   set; without blanks at either end; may be empty.
 * Returns: NULL, or what is wrong, in words: a NUL, or a control octet that
 *          smtp_parse_command refuses and that is not in a comment; no such
 *          option; one that can't be set here, having no place to go; or one
 *          that takes no value has one.
 */
const char *smtp_option_line(const struct smtp_option *o, size_t n,
    struct slice line, const struct smtp_option **found, struct slice *name,
    struct slice *value);

/*
 * smtp_put_help(t, o, column)
 *
 * Append what a line of help says of an option: "  -x, --name ARG", blanks, one
 * at least and up to a column, and its help.
 */
void smtp_put_help(struct smtp_text *t, const struct smtp_option *o,
    size_t column);

/* ---- the message ------------------------------------------------------ */

enum smtp_newline {
	SMTP_CRLF,		/* an LF or CR that is no part of one is bare */
	SMTP_LF			/* LF is the line end, and CR is bare; but
				 * normalized, CRLF is a line end, too */
};

struct smtp_data {		/* all zero but the first two, to begin */
	enum smtp_newline newline;	/* set by the caller */
	bool		 normalize;	/* so is this: a bare CR becomes a
					 * blank, a bare LF a line end */
	unsigned char	 at;		/* between CR, LF and dot: where */
	bool		 bare;		/* a bare CR or LF was met ... */
	uint64_t	 bare_line;	/* ... first in this line, from 1 on */
	uint64_t	 lines;		/* line ends so far */
	uint64_t	 octets;	/* size so far as 1870 counts it: line
					 * ends two, dots undoubled */
};

struct smtp_room {		/* where decoded octets go */
	char		*p;
	size_t		 n;
};

enum smtp_data_status {
	SMTP_DATA_MORE,		/* all of in used, no end yet */
	SMTP_DATA_FULL,		/* all of out used; call again with more */
	SMTP_DATA_END		/* the final "." seen; in is what follows */
};

/*
 * smtp_data(d, in, out)
 *
 * Decode a piece of what follows DATA (4.1.1.4, 4.5.2): line ends become
 * LF, one dot at the head of a line goes, and CRLF "." CRLF ends it: that
 * and nothing else (with SMTP_LF: LF "." LF).  A bare CR or LF is noted and
 * decoding goes on: to refuse is the caller's, at the true end.  It is kept as
 * it is unless d->normalize is set: then a bare CR is stored as a blank, which
 * counts as one octet, and a bare LF is a line end, which counts as two.
 * Neither takes part in the end of the message, and a dot behind either is a
 * dot.
 *
 * d:       the state, the same for any segmentation of the input.
 * in:      the next octets; moved past what was used.
 * out:     where to; moved past what was written.  It never takes more room
 *          than in has octets, plus one held back from the piece before.
 * Returns: see above.  End of input before SMTP_DATA_END: no message.
 */
enum smtp_data_status smtp_data(struct smtp_data *d, struct slice *in,
    struct smtp_room *out);

/*
 * smtp_chunk(d, in, out)
 *
 * The same for the octets of BDAT (3030), which have neither dots to undouble
 * nor an end in them: only line ends become LF.  Never SMTP_DATA_END.
 *
 * smtp_chunk_end(d, out)
 *
 * After the last octet of BDAT LAST: write what is still to be stored, two
 * octets at most.  A CR left over is bare, as above; a last line without its
 * line end is given one, which is not counted in octets.  SMTP_DATA_END; or
 * SMTP_DATA_FULL, with nothing done, if out has not two octets of room.
 */
enum smtp_data_status smtp_chunk(struct smtp_data *d, struct slice *in,
    struct smtp_room *out);
enum smtp_data_status smtp_chunk_end(struct smtp_data *d,
    struct smtp_room *out);

enum smtp_first {
	SMTP_FIRST_MORE,	/* too little yet to tell */
	SMTP_FIRST_FIELD,	/* begins a header field, or is empty */
	SMTP_FIRST_MAILBOX,	/* "From " or ">From ", as mbox files have */
	SMTP_FIRST_BODY		/* anything else */
};

/*
 * smtp_first_line(head)
 *
 * Tell what the first line of a message is.  A field is what smtp_header takes
 * for one (RFC 5322, 2.2; with blanks before its colon, 4.5): "From :" begins
 * a field and "From x" does not.  An empty line ends a header without fields,
 * as it should, and counts as SMTP_FIRST_FIELD.
 *
 * head:    all octets of the message so far, from the first, line ends LF.
 * Returns: the verdict, the same for every longer head.  SMTP_FIRST_MORE only
 *          while head is short of SMTP_FIELD_MAX octets and has no line end.
 */
enum smtp_first smtp_first_line(struct slice head);

struct smtp_header {		/* all zero, to begin */
	unsigned char	 at;		/* where in a line we are */
	size_t		 colon;		/* length of the field's name */
	size_t		 n;
	char		 text[SMTP_FIELD_MAX];
};

enum smtp_header_status {
	SMTP_HEADER_MORE,	/* all of in used */
	SMTP_HEADER_FIELD,	/* a field is complete; call again */
	SMTP_HEADER_END		/* the body: *value, then in */
};

/*
 * smtp_header(h, in, name, value)
 *
 * Read a message's header (RFC 5322, 2.2), line ends LF, in pieces of any
 * size.  It ends at the first empty line or, as mail readers have it, at the
 * first line that is no field and continues none.  A message that ends within
 * its header has no body: smtp_header_end.
 *
 * h:       the state; once SMTP_HEADER_END was returned, it always will be.
 * in:      the next octets; moved past what was used.
 * name:    set with SMTP_HEADER_FIELD, without the colon.
 * value:   set with SMTP_HEADER_FIELD: unfolded, without blanks around it; a
 *          field over SMTP_FIELD_MAX octets is cut there.  Set with
 *          SMTP_HEADER_END: octets of the body that went before in, at most
 *          SMTP_FIELD_MAX: the head of a line that turned out to be no field.
 *          Both point into h and are good until the next call.
 *
 * smtp_header_end(h, name, value)
 *
 * At the end of the message: true, with the outputs set, if a field was
 * still waiting to see whether it goes on.
 */
enum smtp_header_status smtp_header(struct smtp_header *h, struct slice *in,
    struct slice *name, struct slice *value);
bool smtp_header_end(struct smtp_header *h, struct slice *name,
    struct slice *value);

struct smtp_utf8 {		/* all zero, to begin */
	unsigned char	 left;		/* octets the sequence still needs */
	unsigned char	 low, high;	/* bounds of the next one */
	bool		 bad;		/* something was no UTF-8 */
	bool		 eight_bit;	/* an octet over 127 was met */
};

/*
 * smtp_utf8(u, in)
 *
 * Look at the next octets of a text in pieces of any size: is it ASCII, is
 * it UTF-8 (3629, 4: no overlong forms, surrogates, nothing over
 * U+10FFFF)?  At its end it is UTF-8 if neither bad nor left is set.
 */
void smtp_utf8(struct smtp_utf8 *u, struct slice in);

/*
 * smtp_utf8_valid(in)
 *
 * Whether the whole of in is UTF-8.
 */
bool smtp_utf8_valid(struct slice in);

/*
 * smtp_date(seconds, out)
 *
 * Write date-time (RFC 5322, 3.3) in UTC, without locale or time zone.
 *
 * seconds: since 1970-01-01; from 0 to the end of year 9999.
 * out:     SMTP_DATE_SIZE octets; NUL-terminated.
 */
void smtp_date(int64_t seconds, char out[SMTP_DATE_SIZE]);

struct smtp_trace {
	struct slice	 helo;		/* as the client said it, or empty */
	struct slice	 name;		/* the client's, or empty */
	struct slice	 address;	/* the client's as text, or empty */
	bool		 ipv6;		/* address is IPv6 */
	struct slice	 host;		/* ours */
	struct slice	 protocol;	/* RFC 3848: "ESMTP" and its kin */
	struct slice	 id;
	struct slice	 recipient;	/* "for" it, without "<>"; or empty */
	int64_t		 seconds;	/* as smtp_date's */
	struct slice	 tls_version;	/* or empty */
	struct slice	 tls_cipher;	/* or empty; told beside a version */
};

/*
 * smtp_received(t, buf, size)
 *
 * Write a Received field (4.4) with its line end, LF, folded under 78 columns
 * where a word does not pass them itself.  Octets of helo that could be in
 * no domain or address literal become "?".
 *
 * t:       all but helo checked by the caller: they are written as they are.
 * buf:     size octets; SMTP_TRACE_MAX is always enough.
 * Returns: how many octets were written; what does not fit is cut off.
 */
size_t smtp_received(const struct smtp_trace *t, char *buf, size_t size);

/*
 * smtp_mend_first(head)
 *
 * See to it that a message's first line neither goes on with a header that was
 * put in front of it nor ends it: a line of an mbox file becomes the field
 * X-Mailbox-Line, and before what is no field an empty line is put.
 *
 * head:    all octets of the message so far, and room for 16 more.
 * Returns: false, and nothing was done, while smtp_first_line wants more.
 */
bool smtp_mend_first(struct smtp_text *head);

struct smtp_scan {		/* all zero, to begin; but see labelled */
	unsigned	 received;	/* fields of that name */
	unsigned	 delivered;	/* Delivered-To fields */
	bool		 labelled;	/* as MIME, or signed; set by the
					 * caller where nobody asks for a
					 * label */
	bool		 in_body;
	struct smtp_utf8 utf8;		/* of the body, while not labelled */
	size_t		 msgid_n;
	char		 msgid[SMTP_ESCAPED_MAX];	/* the first one's */
	struct smtp_header header;
};

/*
 * smtp_scan(s, in, to)
 *
 * Look at the next octets of a message, line ends LF, in pieces of any size,
 * for what its receiver must know of it.
 *
 * in:      moved past what was looked at.
 * Returns: true for a Delivered-To field: to is its value, without "<>" around
 *          it, good until the next call; call again.  False: all of in was
 *          looked at.
 *
 * smtp_scan_end(s, to)
 *
 * The same at the end of the message.
 *
 * smtp_put_label(t, s, charset)
 *
 * Append the header fields that a body with octets over 127 gets (RFC 1428),
 * but nothing where it has none, or was labelled: the charset is UTF-8 if it
 * is that, else what the caller says.
 */
bool smtp_scan(struct smtp_scan *s, struct slice *in, struct slice *to);
bool smtp_scan_end(struct smtp_scan *s, struct slice *to);
void smtp_put_label(struct smtp_text *t, const struct smtp_scan *s,
    const char *charset);

/*
 * smtp_put_id(t, seconds, microseconds, pid, n)
 *
 * Append "SECONDS.MmicrosecondsPpidQn", the ID of a process's nth message.
 *
 * smtp_put_file(t, new, id, host, octets)
 *
 * Append the name of a message's file in a Maildir: "tmp/ID.host", or, if it
 * is new, "new/ID.host,S=octets".  Of the host's name the first
 * SMTP_HOST_IN_NAME octets count.
 */
enum { SMTP_HOST_IN_NAME = 128 };	/* what NAME_MAX leaves, and less */
void smtp_put_id(struct smtp_text *t, uint64_t seconds, uint64_t microseconds,
    uint64_t pid, uint64_t n);
void smtp_put_file(struct smtp_text *t, bool new, struct slice id,
    struct slice host, uint64_t octets);

/* ---- the session ------------------------------------------------------ */

/*
 * A session is a machine without a network, a clock or a disk: octets and
 * answers go in, replies and questions come out.  Its host asks smtp_next()
 * for the next question; the answer is an argument of the next call, so that
 * it can be neither forgotten nor given twice.  Between two calls nothing
 * happens: a host may block on a question, or put the session aside and serve
 * others.  This is one that takes mail for anyone:
 *
 * #include <unistd.h>
 * #include "smtp_parse.h"
 *
 * int
 * main(void)
 * {
 * 	static char in[4096], out[4096], mail[1 << 20];
 * 	static struct smtp_session s;
 * 	struct smtp_host h = { .out = SMTP_TEXT(out), .terms = {
 * 	    .hostname = smtp_slice("localhost"), .size = 1000000,
 * 	    .recipients = 100, .errors = 20 } };
 * 	enum smtp_reply answer = SMTP_YES;
 * 	enum smtp_ask ask;
 * 	ssize_t n;
 *
 * 	while ((ask = smtp_next(&s, &h, answer)) != SMTP_CLOSE) {
 * 		answer = SMTP_FAULT;
 * 		if (ask == SMTP_INPUT || ask == SMTP_FLUSH) {
 * 			n = write(1, out, h.out.n);
 * 			h.out.n = 0;
 * 			if (n >= 0 && ask == SMTP_INPUT)
 * 				n = read(0, in, sizeof(in));
 * 			if (n > 0 && ask == SMTP_INPUT)
 * 				h.in = (struct slice){ in, (size_t)n };
 * 			answer = n > 0 ? SMTP_YES : SMTP_GONE;
 * 		} else if (ask == SMTP_BEGIN) {
 * 			h.room = (struct smtp_room){ mail, sizeof(mail) };
 * 			answer = SMTP_YES;
 * 		} else if (ask == SMTP_FINISH) {
 * 			n = write(3, mail, sizeof(mail) - h.room.n);
 * 			answer = n == h.room.p - mail ? SMTP_YES : SMTP_NO_ROOM;
 * 		} else if (ask == SMTP_CONNECT || ask == SMTP_HELO ||
 * 		    ask == SMTP_SENDER || ask == SMTP_RCPT ||
 * 		    (ask == SMTP_STORE && h.room.n > 1)) {
 * 			answer = SMTP_YES;
 * 		}
 * 	}
 * 	return write(1, out, h.out.n) < 0;
 * }
 *
 * What holds, whatever the host does:
 *
 * 1. The session holds no pointer.  All are in struct smtp_host, and what the
 *    machine sets there is good until the next call.  So the session may be
 *    copied, compared and kept, all zero is a valid start, and no slice of a
 *    buffer is looked at when the buffer has moved on: so could a password
 *    get into a log, as the text of another line.
 * 2. It fails closed.  An answer of 0, or one that does not fit the question,
 *    is SMTP_FAULT (451); of INPUT and FLUSH it is SMTP_GONE.  A question
 *    that a host does not know accepts nothing.
 * 3. A failure sticks.  After BEGIN or STORE was refused, or the message found
 *    too big, neither STORE nor FINISH is asked, and no 2xx is said of it: a
 *    later success would hide a hole in the mail.
 * 4. A secret is known in PASSWORD only.  The session wipes its copy before it
 *    asks anything else, and h->secret says that the host must wipe what it
 *    has read.  NOTE never tells of one (in SMTP_NOTE_HEARD alone the line
 *    that may have one is still there): what is logged cannot hold it.
 * 5. A 421 from whatever answer is said, and is the end: FORGET, CLOSE.  So
 *    nothing below a host's loop need ever leave it to send a client away.
 * 6. It is small and flat: some 14 kB, its state first and its text behind, no
 *    recipients, for these are the host's.  A host of many sessions has an
 *    array of them.
 * 7. A message is judged in one order: too big, then a bare CR or LF, then the
 *    first refusal.  Whatever way its octets come in pieces, the replies are
 *    the same; and they are sent no later than the host waits for anything,
 *    for INPUT is not the only question that takes time.
 */
enum smtp_ask {			/* behind the colon: what SMTP_YES says */
	SMTP_NOTHING,	/* never asked */
	SMTP_INPUT,	/* in is empty: send all of out, wait: in has more.
			 * Or SMTP_LATE, GONE, TIMEOUT, SHUTDOWN */
	SMTP_FLUSH,	/* out is full: send all of it.  It is empty.  Or
			 * SMTP_GONE, TIMEOUT, SHUTDOWN */
	SMTP_PAUSE,	/* h->user or his password was wrong: send all of out,
			 * wait a second.  It is over */
	SMTP_NOTE,	/* no question, a log's: see enum smtp_note */
	SMTP_CONNECT,	/* somebody is there, or, behind XCLIENT, somebody
			 * else: he may go on.  All else is said instead of
			 * the greeting, and then he may say no more than QUIT
			 * (3.1), or XCLIENT */
	SMTP_HELO,	/* h->arg is his name, of HELO, EHLO or LHLO: he may be
			 * called so, and all that he said before is over */
	SMTP_SENDER,	/* h->path, empty for <>, with h->mail: it may send */
	SMTP_RCPT,	/* h->path: it is kept as recipient s->rcpts */
	SMTP_VRFY,	/* h->path: it may exist */
	SMTP_ETRN,	/* h->arg: it may be asked for; there is no queue */
	SMTP_BEGIN,	/* a message comes: h->room is set, 2 octets or more */
	SMTP_STORE,	/* h->stored, octets that lie in the room: they were
			 * taken, and h->room is set anew, 2 octets or more */
	SMTP_FINISH,	/* it is complete: all have it (or DELIVERED, DRY, OWN;
			 * h->id is set); or SMTP_EACH: ask of each */
	SMTP_OUTCOME,	/* and recipient h->rcpt, from 0?  Sets h->address, and
			 * h->id; may be asked again: the answer is the same */
	SMTP_FORGET,	/* the transaction is over, and h->said came of its
			 * message (empty: there was none): drop what is not
			 * delivered.  Once for each SENDER answered YES */
	SMTP_PASSWORD,	/* h->user, h->password: they are right */
	SMTP_STARTTLS,	/* TLS can begin; all else is 454 4.7.0 */
	SMTP_HANDSHAKE,	/* 220 is said: send all of out, begin.  It has begun:
			 * in is empty, and terms are what they are now */
	SMTP_XCLIENT,	/* h->xclient: it was taken */
	SMTP_CLOSE	/* send all of out, close; s->end says why */
};

/* The answers.  Their words are in smtp_reply_text(). */
enum smtp_reply {
	SMTP_FAULT,		/* 451 4.3.0 */
	SMTP_YES,
	SMTP_LATE,		/* INPUT: nothing came in h->patience seconds */
	SMTP_GONE,		/* nothing more will come */
	SMTP_EACH,		/* FINISH: the recipients' outcomes differ */
	SMTP_OWN,		/* as smtp_own() was told */
	SMTP_DELIVERED,		/* 250 2.0.0, and h->id */
	SMTP_DRY,		/* 250 2.0.0, but nothing was kept */
	SMTP_SHUTDOWN,		/* 421 4.3.2 */
	SMTP_TIMEOUT,		/* 421 4.4.2 */
	SMTP_NO_LINKS,		/* 451 4.3.0: of a file system */
	SMTP_MISCONFIGURED,	/* 451 4.3.5 */
	SMTP_CANT_CREATE,	/* 452 4.2.0 */
	SMTP_QUOTA,		/* 452 4.2.2 */
	SMTP_NO_ROOM,		/* 452 4.3.1 */
	SMTP_CROWDED,		/* 452 4.5.3: too many recipients */
	SMTP_UNAVAILABLE,	/* 454 4.7.0: no check of PASSWORD now */
	SMTP_WRONG,		/* 535 5.7.8: of PASSWORD; PAUSE comes next */
	SMTP_BAD_ADDRESS,	/* 501 5.1.7 of a sender, 5.1.3 of others */
	SMTP_NO_USER,		/* 550 5.1.1 */
	SMTP_NO_HOST,		/* 550 5.1.2 */
	SMTP_NOT_OURS,		/* 550 5.7.1: no relaying */
	SMTP_DENIED,		/* 550 5.7.1 */
	SMTP_UNFIT,		/* 553 5.1.7 of a sender, 5.1.3 of others */
	SMTP_REJECTED,		/* 554 5.3.0 */
	SMTP_LOOP,		/* 554 5.4.6 */
	SMTP_BAD_DATA,		/* 554 5.6.0 */
	SMTP_ANSWERS		/* how many */
};

#define SMTP_NOWHERE SIZE_MAX

enum smtp_note {
	SMTP_NOTE_HEARD,	/* h->told: a command (with terms.verbose) */
	SMTP_NOTE_REFUSED,	/* h->said answers h->told, with h->to */
	SMTP_NOTE_RCPT		/* h->said is said of recipient h->rcpt of the
				 * message that has come */
};

struct smtp_terms {		/* what is offered; may change at any call */
	struct slice	 hostname;	/* at most SMTP_DOMAIN_MAX octets */
	uint64_t	 size;		/* of a message; 0: no limit */
	uint64_t	 recipients;	/* of a message, at most */
	uint64_t	 errors;	/* one more, and it is sent away */
	unsigned	 junk;		/* so many of what costs us more than
					 * it costs the client are an error;
					 * up to 255, 0: no number */
	bool		 lmtp;
	bool		 by_hand;	/* the first line ends as all lines do;
					 * what was meant is guessed */
	bool		 terminal;	/* an empty line is nothing */
	bool		 normalize;	/* a bare newline is none, see
					 * smtp_data() */
	bool		 tls;		/* STARTTLS is to be had now */
	bool		 auth;		/* passwords can be checked, ... */
	bool		 auth_now;	/* ... and sent, as things are */
	bool		 xclient;	/* of this client */
	bool		 encrypted;	/* the connection is */
	bool		 needs_tls;	/* before MAIL */
	bool		 needs_login;
	bool		 strict;	/* nothing is taken that RFC 5321 has
					 * not: SMTP_LENIENT_ is refused */
	bool		 verbose;	/* NOTE each command */
};

enum { SMTP_OUT_MIN = 2048, SMTP_OWN_MAX = 256 };

struct smtp_host {		/* what a session sees of it: all pointers */
	struct smtp_terms terms;
	struct slice	 in;		/* moved past what was used */
	struct smtp_text out;		/* of SMTP_OUT_MIN octets or more */
	struct smtp_room room;		/* moved past what was written */
	struct slice	 id;		/* what it was delivered as: host's;
					 * said as far as a reply of 512
					 * octets has room for it */
	struct slice	 address;	/* OUTCOME: the recipient's, for the
					 * host to set */
	/* set with a question */
	unsigned	 patience;	/* INPUT: seconds until LATE; or 0 */
	bool		 secret;	/* what was used of in was: wipe it */
	enum smtp_note	 note;
	struct slice	 told;		/* of the command, without secrets */
	size_t		 octets;	/* not 0: the line was no command, and
					 * as long as this; told is empty */
	size_t		 wrong;		/* REFUSED: octets of the line in front
					 * of what is wrong in it; or NOWHERE */
	bool		 esmtp;		/* HELO: it was EHLO or LHLO */
	struct slice	 arg;		/* of HELO, MAIL, RCPT, ETRN, XCLIENT */
	struct slice	 said;		/* a reply, without its line end */
	struct slice	 to;		/* RCPT's address, if it had one */
	struct slice	 stored;
	struct slice	 user;
	struct slice	 password;
	struct smtp_path path;
	struct smtp_mail mail;
	bool		 dsn;		/* SENDER, RCPT: parameters ignored */
	size_t		 rcpt;
	struct smtp_xclient xclient;	/* last: its pages are seldom touched */
};

enum smtp_state {		/* of the transaction; bits */
	SMTP_S_HELO = 1 << 0,	/* connected, not introduced */
	SMTP_S_IDLE = 1 << 1,	/* introduced, no transaction */
	SMTP_S_MAIL = 1 << 2,	/* sender given */
	SMTP_S_TRIED = 1 << 3,	/* recipients refused, none accepted yet */
	SMTP_S_RCPT = 1 << 4,	/* at least one recipient accepted */
	SMTP_S_BDAT = 1 << 5	/* at least one chunk accepted */
};

enum smtp_at {			/* what the next octets are */
	SMTP_AT_START,
	SMTP_AT_OPENING,	/* SMTP, or another protocol? */
	SMTP_AT_LINE,		/* a command */
	SMTP_AT_COMMAND,	/* nothing: the line of one is there */
	SMTP_AT_BODY,		/* what follows DATA */
	SMTP_AT_CHUNK,		/* what follows BDAT */
	SMTP_AT_PLAIN,		/* AUTH's response: for PLAIN, ... */
	SMTP_AT_USER,		/* ... and for LOGIN */
	SMTP_AT_PASSWORD,
	/* and what is done between two lines */
	SMTP_AT_EACH,		/* a reply for each recipient */
	SMTP_AT_TALLY,		/* what all recipients' outcomes come to */
	SMTP_AT_FAILURES,	/* a line for each that failed */
	SMTP_AT_HANDSHAKE,
	SMTP_AT_END
};

enum smtp_end {			/* why it was closed */
	SMTP_END_NONE,		/* it is not */
	SMTP_END_QUIT,
	SMTP_END_EOF,		/* between two transactions */
	SMTP_END_IN_TRANSACTION,	/* ... or in the middle of ... */
	SMTP_END_IN_MESSAGE,
	SMTP_END_IN_AUTH,
	SMTP_END_GONE,		/* at another question than INPUT */
	SMTP_END_ERRORS,	/* too many */
	SMTP_END_AUTH,		/* too many wrong passwords */
	SMTP_END_BAD_CHUNK,	/* where the next command is nobody knows */
	SMTP_END_TLS,		/* spoken at once */
	SMTP_END_HTTP,
	SMTP_END_PROXY,
	SMTP_END_TLS_FAILED,
	SMTP_END_SHUTDOWN,	/* as the host answered */
	SMTP_END_TIMEOUT,
	SMTP_END_HOST		/* by a 421 of its own words */
};

enum smtp_login_by { SMTP_BY_NONE, SMTP_BY_PLAIN, SMTP_BY_LOGIN };

struct smtp_tally {		/* what several outcomes come to */
	uint64_t	 good, bad;
	unsigned char	 say;		/* of a good one */
	bool		 differ;	/* the failures' codes */
	bool		 temporary;	/* one of them at least */
	unsigned char	 n;
	char		 codes[16];	/* of the first failure */
};

struct smtp_session {		/* for all to read, smtp_next() to write */
	unsigned char	 at;		/* enum smtp_at */
	unsigned char	 state;		/* enum smtp_state */
	unsigned char	 asked;		/* enum smtp_ask: what is open */
	unsigned char	 end;		/* enum smtp_end */
	unsigned char	 login_by;	/* enum smtp_login_by; none: XCLIENT */
	unsigned char	 tries;		/* of AUTH that failed */
	unsigned char	 junk;		/* see terms; below that number */
	bool		 esmtp;
	bool		 tls;		/* by STARTTLS */
	bool		 utf8;		/* MAIL said SMTPUTF8 */
	bool		 each;		/* a reply for each recipient is due */
	bool		 chunk_refused;	/* what is behind it is its part */
	/* these are the machine's alone */
	unsigned char	 verb;		/* of the command that is under way */
	unsigned char	 told;		/* instead of its line, of AUTH */
	unsigned char	 newline;	/* how lines end, as far as known */
	unsigned char	 say;		/* a reply that is not written yet */
	unsigned char	 failed;	/* the first refusal of the message */
	unsigned char	 fate;		/* what came of it, for FORGET */
	unsigned char	 all;		/* what each recipient is told */
	bool		 greeting;	/* is due, or what is said instead */
	bool		 barred;	/* all but QUIT is refused */
	bool		 helo_told;	/* by XCLIENT: the proxy's own does
					 * not replace it */
	bool		 heard;		/* a whole line is in line */
	bool		 skip;		/* one that is too long */
	bool		 lf;		/* with an LF that ended no line */
	bool		 cr;		/* the last octet was one */
	bool		 lf_alone;	/* ended the line */
	bool		 noted;		/* say was */
	bool		 forget;	/* FORGET is due */
	bool		 dsn;		/* see smtp_mail */
	bool		 mail_refused;	/* the last MAIL was */
	bool		 same_error;	/* a refusal is part of one before */
	bool		 begun;		/* BEGIN was answered YES */
	bool		 big;		/* the message is */
	bool		 ended;		/* all its octets are there */
	bool		 ours;		/* BDAT: a chunk of a message */
	bool		 last;		/* BDAT: the last one */
	struct smtp_tally tally;
	uint64_t	 errors;	/* since the last delivered message */
	uint64_t	 rcpts;		/* accepted */
	uint64_t	 next;		/* of them, to be told or asked of */
	uint64_t	 left;		/* octets of the chunk, or failures */
	struct smtp_data data;		/* octets: the message's size so far */
	size_t		 helo_n, login_n;
	size_t		 opening_n, user_n, own_n;
	size_t		 line_n;	/* octets in line, ... */
	size_t		 heard_n;	/* ... the first of them a command, */
	size_t		 used;		/* ... and with its end */
	size_t		 to_at, to_n;	/* h->to in it */
	/* up to here a state is told by its octets; what follows only counts,
	 * or is text */
	uint64_t	 messages;	/* delivered */
	uint64_t	 refused;	/* messages that were not */
	unsigned	 lenient;	/* SMTP_LENIENT_ bits */
	unsigned	 asked_lenient;	/* of what is not accepted yet */
	bool		 wrong;		/* a command or a message was refused
					 * as none (500 to 504, 555, 550
					 * 5.5.2) */
	bool		 deferred;	/* something was 4xx, for a fault of
					 * the host's */
	char		 opening[12];
	char		 helo[SMTP_DOMAIN_MAX];
	char		 login[SMTP_LOGIN_MAX];	/* by AUTH or XCLIENT */
	char		 own[SMTP_OWN_MAX];
	char		 line[SMTP_AUTH_MAX];	/* last: few are long */
};

/*
 * smtp_next(s, h, answer)
 *
 * Go on to the next question.
 *
 * s:       all zero, to begin; then the caller keeps his hands off.
 * h:       terms, out and the caller's buffers set; see each question.  Where
 *          less is left in out than a reply may take, it asks FLUSH.
 * answer:  to the last question.  Of the first call, and to NOTE, FORGET and
 *          CLOSE, it is not looked at; but SMTP_GONE, SHUTDOWN and TIMEOUT
 *          end the session whatever was asked, of HANDSHAKE without a word.
 * Returns: the question, never SMTP_NOTHING.  Each call uses input, writes a
 *          reply or takes an answer; once SMTP_CLOSE was returned it always
 *          will be.
 */
enum smtp_ask smtp_next(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer);

/*
 * smtp_own(s, code, enhanced, words)
 *
 * An answer in words of the host's own: "250", "2.0.0", "Delivered as ID".  A
 * 421 ends the session.  A 2xx fits FINISH and OUTCOME only; and INPUT, FLUSH,
 * PAUSE, NOTE, FORGET and HANDSHAKE take no words.
 *
 * code:     three digits, the first of them 2, 4 or 5.
 * enhanced: an enhanced code (RFC 3463) of that class.
 * words:    what is not printable ASCII becomes "?"; cut to what fits.
 * Returns:  SMTP_OWN, to be the answer; SMTP_FAULT, with s untouched, if a
 *           code is none, or the open question takes no words.
 */
enum smtp_reply smtp_own(struct smtp_session *s, struct slice code,
    struct slice enhanced, struct slice words);

/*
 * smtp_reply_text(answer)
 *
 * What an answer says: "452 4.3.1 No room, try again later".  Of one that says
 * nothing by itself, such as SMTP_YES or SMTP_OWN, or depends on what was
 * asked, it is what is said at FINISH.
 */
struct slice smtp_reply_text(enum smtp_reply answer);

/*
 * smtp_end_word(why)
 *
 * The word for it, as a log may have it: "quit", "in-message".
 */
const char *smtp_end_word(enum smtp_end why);

/*
 * smtp_put_state(t, s, address)
 *
 * Append what a session does, in a line: "[192.0.2.7] DATA 3 rcpt 48213 bytes".
 * The word is START, HELO, MAIL, RCPT, DATA, BDAT, AUTH, STARTTLS, DELIVER or
 * QUIT: the step that was taken last.  In a transaction the recipients that
 * were accepted follow, and, once a message has begun, its octets so far.
 *
 * address: of the client; empty is "unknown".
 */
void smtp_put_state(struct smtp_text *t, const struct smtp_session *s,
    struct slice address);

/*
 * smtp_put_prompt(t, s, terms), smtp_put_hint(t, s, terms, domain)
 *
 * Append what a person is shown who types at a terminal: a prompt, "mail> ",
 * "rcpt 2> ", "data> ", which names what is waited for; and, without a line
 * end, what may be said to it, with an example.
 *
 * domain:  one that mail is taken for.
 * Returns: the prompt's number, below 32: a hint shown once need not be again.
 */
unsigned smtp_put_prompt(struct smtp_text *t, const struct smtp_session *s,
    const struct smtp_terms *terms);
void smtp_put_hint(struct smtp_text *t, const struct smtp_session *s,
    const struct smtp_terms *terms, struct slice domain);

/*
 * smtp_put_protocol(t, s, terms)
 *
 * Write the protocol's name for a Received field (RFC 3848; RFC 6531, 4.3).
 */
void smtp_put_protocol(struct smtp_text *t, const struct smtp_session *s,
    const struct smtp_terms *terms);

/* ---- trouble on demand ------------------------------------------------ */

/*
 * For those who test a client: a host that is told to has it meet trouble.  It
 * is asked for by an address, whose local part is a word of it, or by a script,
 * whose lines are a step and words, with blanks between; behind "#" is a
 * comment:
 *
 *	connect, ehlo, mail, rcpt, data, dot	a step: somebody is there, HELO
 *					and its kin, ..., all octets are there
 *	rcpt2				one that comes for the second time
 *	550, 550-5.1.1, 421		a reply, 4xx or 5xx
 *	slow5				before it, so many seconds pass
 *	drop				none, and the connection ends
 *	cut9				it ends when 9 octets more were sent,
 *					whatever they are
 *	stop9				or taken
 */
enum smtp_step {
	SMTP_STEP_CONNECT,
	SMTP_STEP_EHLO,
	SMTP_STEP_MAIL,
	SMTP_STEP_RCPT,
	SMTP_STEP_DATA,
	SMTP_STEP_DOT,
	SMTP_STEPS
};

struct smtp_script {		/* text is set by the caller, it may be empty */
	struct slice	 text;
	uint64_t	 seen[SMTP_STEPS];	/* how often it came */
};

struct smtp_trouble {
	struct slice	 what;		/* as it was asked for */
	struct slice	 code;		/* of a reply; empty: as ever */
	struct slice	 enhanced;	/* of it */
	uint64_t	 seconds;	/* to wait */
	bool		 drop;
	bool		 cut, stop;	/* and these are set: */
	uint64_t	 sent, taken;
};

/*
 * smtp_script_wrong(text)
 *
 * Returns: the number of the first line that is none of a script, from 1; 0 if
 *          all are.
 *
 * smtp_trouble(script, s, h, t)
 *
 * Is there trouble at the question that is open?  To be asked once for each,
 * before the host looks at it.  Of two lines the first counts, and then the
 * address.
 *
 * script:  smtp_script_wrong() knows of nothing; what was seen is counted.
 * t:       set if it is true; good while the question is open.
 *
 * smtp_trouble_answer(s, t)
 *
 * What is to be answered, when the seconds are over: SMTP_YES, to go on as
 * ever, SMTP_GONE or SMTP_OWN.
 */
uint64_t smtp_script_wrong(struct slice text);
bool smtp_trouble(struct smtp_script *script, const struct smtp_session *s,
    const struct smtp_host *h, struct smtp_trouble *t);
enum smtp_reply smtp_trouble_answer(struct smtp_session *s,
    const struct smtp_trouble *t);

#endif
