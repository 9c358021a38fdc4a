-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Many records in one call: pages of a list, what is left over, imports; and
-- what mends a record.  A call does little, so that nobody waits for it.

-- The library has 200 local names at most; these are of this part alone.
do

-- Pages

-- What a row may have beside the fields.
local COLUMNS = {}

local function last_of_row(row)
	row.last = row.last or redis.call('HMGET', row.key .. ':last', 'login',
	    'message')
	return row.last
end

function COLUMNS.last_login(row)
	return last_of_row(row)[1] or false
end

function COLUMNS.last_message(row)
	return last_of_row(row)[2] or false
end

local function count_of(row, name)
	if row[name] == nil then
		local count = redis.pcall('SCARD', row.key .. ':' .. name)
		row[name] = type(count) == 'number' and count or false
	end
	return row[name]
end

function COLUMNS.ip_count(row)
	return count_of(row, 'ips')
end

function COLUMNS.domain_count(row)
	return count_of(row, 'domains')
end

function COLUMNS.suppressed_count(row)
	if row.suppressed == nil then
		row.suppressed = suppressed.count({}, row.key) or false
	end
	return row.suppressed
end

-- Messages of this period, as far as they count; nil where the page has looked
-- at enough already.
function COLUMNS.used(row)
	local fields = row.fields
	local quota = fields.quota and parse_count(fields.quota) or 0
	local period = quota > 0 and parse_period(
	    (fields.quota_period or '') ~= '' and fields.quota_period or
	    row.period)
	if not period or left.counted <= 0 then
		return false
	end
	left.time = left.time or now()
	local _, count = windows.read(row.key .. ':used:quota', period, left.time)
	return string.format('%.0f', count or quota)
end

-- All members, or their number where they are more than a page has left.
local function members_of_row(row, name)
	local count = count_of(row, name)
	if not count or count > left.read then
		return count
	end
	left.read = left.read - count
	return redis.call('SMEMBERS', row.key .. ':' .. name)
end

function COLUMNS.domains(row)
	return members_of_row(row, 'domains')
end

function COLUMNS.ips(row)
	return members_of_row(row, 'ips')
end

-- Whether there are counters of a record's own limits.
local function is_counted(key, rates)
	return redis.call('EXISTS', unpack(append_counters({
	    key .. ':used:quota', key .. ':used:rate' }, key, rates))) > 0
end

-- What is wrong, or nil where the page has looked at enough already.
function COLUMNS.problems(row)
	local count = (count_of(row, 'domains') or 0) +
	    (row.kind == USER and count_of(row, 'ips') or 0)
	local problems = {}
	if count > left.read or left.counted <= 0 then
		return false
	end
	left.read = left.read - count
	local fields = row.fields
	if is_counted(row.key, fields.rate) then
		usage_or_problem(problems, row.key, row.period)
	end
	if row.kind == USER then
		row.suppressed = user_problems(problems, row.key, fields,
		    row).suppressed_count or false
	else
		local domains = members_or_problem(problems, row.key,
		    'domains', row.domains)
		check_fields(problems, ACCOUNT, fields)
		check_domains(problems, ACCOUNT, domains)
		row.suppressed = suppressed.count(problems, row.key) or false
	end
	count_problems(#problems)
	return problems
end

function COLUMNS.warnings(row)
	return warnings_of(row.fields.password, row.fields.restricted,
	    row.kind == USER and count_of(row, 'ips') or 0)
end

-- The name that the key of the user's ip_auth holds; nil where there is none,
-- "" where it is nobody's name.
function COLUMNS.claim(row)
	local address = address_or_nil(row.fields.ip_auth or '')
	return address and
	    (owner_of(key_beside(row.key, 'ip', address)) or '') or false
end

-- What the relay writes for people, and the types of it that are wrong.
local WRITTEN = { log = 'stream', failed = 'stream', last = 'hash' }

function COLUMNS.wrong(row)
	local wrong = {}
	for suffix, wanted in pairs(WRITTEN) do
		local found = type_of(row.key .. ':' .. suffix)
		if found ~= 'none' and found ~= wanted then
			wrong[#wrong + 1] = suffix
		end
	end
	return wrong
end

-- Those that look at all fields.
local WHOLE = { problems = true, warnings = true, claim = true }

-- Conditions by name: the fields that one reads, whether a row has it.
local function equals(field)
	return function(row, value)
		local held = row.fields[field] or ''
		return (held == '' and row.kind.field[field].absent or
		    held) == value
	end
end

local CONDITIONS = {
	status = function(row, value)
		return status_now(row.fields.status, row.fields.blocked_until,
		    now()) == value
	end,
	mode = equals('mode'),
	plan = equals('plan'),
	account = function(row, value)
		local held = row.fields.account or ''
		return held ~= '' and try(canonical.account, held) == value
	end,
	domain = function(row, value)
		return redis.pcall('SISMEMBER', row.key .. ':domains',
		    value) == 1
	end,
	given = function(row, value)
		return (row.fields[value] or '') ~= ''
	end,
}

-- What a page is asked for: the fields and columns that are wanted, in order;
-- conditions; reads, the fields that these look at, and names, a list of them;
-- whole, where that is all fields.  Nothing comes twice, for each costs its time
-- in every row.

local function once(seen, word)
	if seen[word] then
		invalid(word, 'named twice')
	end
	seen[word] = true
end

local OPTIONS = {}

function OPTIONS.fields(page, value)
	local seen, fields = {}, page.kind.field
	for word in string.gmatch(value, '[^ ]+') do
		if not fields[word] and not COLUMNS[word] then
			invalid(word, 'not a field')
		end
		once(seen, word)
		page.wanted[#page.wanted + 1] = word
		page.reads[word] = fields[word] and true
		page.whole = page.whole or WHOLE[word]
	end
	if seen.used then
		page.reads.quota, page.reads.quota_period = true, true
	end
end

function OPTIONS.period(page, value)
	page.period = canonical.period(value)
end

function OPTIONS.match(page, value)
	page.match = value
end

local function add_condition(page, name, value)
	page.conditions[#page.conditions + 1] = { name, value }
end

function OPTIONS.domain(page, value)
	add_condition(page, 'domain',
	    canonical[page.kind.set.domains.kind](value))
end

function OPTIONS.given(page, value)
	if not page.kind.field[value] then
		invalid('given', 'not an option')
	end
	once(page.given, value)
	add_condition(page, 'given', value)
	page.reads[value] = true
end

local function of_field(page, value, name)
	local fields = page.kind.field
	if not fields[name] then
		invalid(name, 'not an option')
	end
	add_condition(page, name, canonical[fields[name].kind](value))
	page.reads[name] = true
	if name == 'status' and fields.blocked_until then
		page.reads.blocked_until = true
	end
end

OPTIONS.status, OPTIONS.mode = of_field, of_field
OPTIONS.plan, OPTIONS.account = of_field, of_field

-- Of options in pairs.
local function page_of(kind, args)
	local page = { kind = kind, wanted = {}, reads = {}, names = {},
	    given = {}, conditions = {}, period = DEFAULT_PERIOD }
	local seen = {}
	need_sizes(args)
	if #args % 2 ~= 0 then
		fail('INVALID', 'an option without a value: they come in pairs')
	end
	for i = 1, #args, 2 do
		local option = args[i]
		if not OPTIONS[option] then
			invalid(option, 'not an option')
		elseif option ~= 'given' then
			once(seen, option)
		end
		OPTIONS[option](page, args[i + 1], option)
	end
	for name in pairs(page.reads) do
		page.names[#page.names + 1] = name
	end
	return page
end

-- Who asks for fields alone does so again for other records.
local PAGES = { user = remembering(function(text)
	return page_of(USER, { 'fields', text })
end), account = remembering(function(text)
	return page_of(ACCOUNT, { 'fields', text })
end) }

local function page_asked(kind, args)
	if #args == 2 and args[1] == 'fields' then
		return PAGES[kind.word](args[2])
	end
	return page_of(kind, args)
end

-- The fields that a page looks at; nil where they cannot be read.
local function page_fields(page, key)
	local fields = {}
	if page.whole then
		local ok, found = pcall(fields_of, page.kind, key)
		return ok and found or nil
	elseif #page.names == 0 then
		return fields
	end
	local held = redis.pcall('HMGET', key, unpack(page.names))
	if held.err then
		return nil
	end
	for i, field in ipairs(page.names) do
		fields[field] = held[i] or nil
	end
	return fields
end

-- The row of a record, nil where it is not asked for or not there, the name
-- alone where it cannot be read.  Of a key that was found the caller is sure.
local function row_of(page, key, name, sure)
	local row = { key = key, kind = page.kind,
	    fields = page_fields(page, key), period = page.period }
	if not row.fields then
		return #page.conditions == 0 and { name } or nil
	elseif not sure and not next(row.fields) and
	    redis.call('EXISTS', key) == 0 then
		return nil
	end
	for _, condition in ipairs(page.conditions) do
		if not CONDITIONS[condition[1]](row, condition[2]) then
			return nil
		end
	end
	local out = { name }
	for i = 1, #page.wanted do
		local word = page.wanted[i]
		if page.kind.field[word] then
			out[i + 1] = row.fields[word] or false
		else
			local ok, value = pcall(COLUMNS[word], row)
			if not ok and not string.find(error_text(value) or '',
			    '^WRONGTYPE ') then
				error(value, 0)
			elseif not ok then
				return { name }
			end
			out[i + 1] = value
		end
	end
	return out
end

local function kind_named(word)
	return word == 'user' and USER or word == 'account' and ACCOUNT or
	    invalid(word, 'neither user nor account')
end

local function need_prefix(prefix)
	if #prefix > PREFIX_MAX or not string.find(prefix, '^[!-z|~]+$') then
		invalid(prefix, 'not a prefix')
	end
	return prefix
end

-- As a pattern that means the text itself.
local function glob_text(text)
	return (string.gsub(text, '[%[%]*?\\^]', '\\%0'))
end

-- PREFIX KIND CURSOR [OPTION VALUE...] -> {cursor, row...}
function api.page(keys, args)
	if #keys > 0 or #args < 3 then
		fail('INVALID', 'the call takes no key, a prefix, user or ' ..
		    'account, a cursor, and options')
	end
	local prefix, kind = need_prefix(args[1]), kind_named(args[2])
	local asked = page_asked(kind, { unpack(args, 4, 3 + CHUNK) })
	local before = prefix .. kind.word .. ':{'
	local found = redis.call('SCAN', args[3], 'MATCH', glob_text(before) ..
	    (asked.match or '*') .. '}', 'COUNT',
	    tostring(LIMITS.page))
	local out = { found[1] }
	for _, key in ipairs(found[2]) do
		local name = string.sub(key, #before + 1, -2)
		if #name <= 64 and
		    string.find(name, '^[a-z0-9][a-z0-9._+-]*$') then
			out[#out + 1] = row_of(asked, key, name, true)
		end
	end
	return out
end

-- The same of the records whose keys are given; nil where there is none.
function api.rows(keys, args)
	if #keys < 1 or #keys > LIMITS.checked or #args < 1 then
		fail('INVALID', 'the call takes 1 to ' .. LIMITS.checked ..
		    ' keys, user or account, and options')
	end
	local kind, out = kind_named(args[1]), {}
	local asked = page_asked(kind, { unpack(args, 2, 1 + CHUNK) })
	for i, key in ipairs(keys) do
		local _, name = record_of({ key }, kind)
		out[i] = row_of(asked, key, name, false) or false
	end
	return out
end

-- What is left over, or is nobody's

-- Of a key of a user's or an account's: whose it is and what it is.
local COMPANIONS = { user = { domains = true, ips = true, last = true,
    suppressed = true }, account = { domains = true, suppressed = true } }
local STRAYS = '25'		-- keys that are looked at where none says

local function is_there(owner, seen)
	if seen[owner] == nil then
		seen[owner] = redis.call('EXISTS', owner) == 1
	end
	return seen[owner]
end

local function stray_of(prefix, key, seen)
	local word, name, suffix = string.match(string.sub(key, #prefix + 1),
	    '^([a-z]+):{([^}]*)}:?(.*)$')
	local kind = word == 'user' and USER or word == 'account' and ACCOUNT
	local owner = kind and prefix .. word .. ':{' .. name .. '}'
	if not word then
		return 'strange'
	elseif word == 'ip' then
		local user = key == prefix .. 'ip:{' .. name .. '}' and
		    address_or_nil(name) == name and owner_of(key)
		if not user then
			return 'strange'
		end
		local held = beside('HGET', key_beside(key, 'user', user),
		    'ip_auth')
		return address_or_nil(held or '') ~= name and 'claim' or nil,
		    user
	elseif not try(kind.check, name) or string.lower(name) ~= name then
		return 'name', name
	elseif key == owner or (word == 'user' and LOGS[':' .. suffix]) or
	    string.sub(suffix, 1, 5) == 'used:' then
		return nil
	elseif key ~= owner .. ':' .. suffix or
	    not COMPANIONS[word][suffix] then
		return 'strange'
	end
	return not is_there(owner, seen) and 'left' or nil, name
end

-- Most keys that are no strays, known without a look at each part: those of a
-- user with a plain name.
local function is_users(prefix, rest, seen)
	local name, colon, suffix = string.match(rest,
	    '^user:{([a-z0-9]+)}(:?)(.*)$')
	if not name or #name > 64 then
		return false
	elseif colon == '' then
		return suffix == ''
	end
	return LOGS[':' .. suffix] or string.sub(suffix, 1, 5) == 'used:' or
	    COMPANIONS.user[suffix] and
	    is_there(prefix .. 'user:{' .. name .. '}', seen)
end

-- PREFIX CURSOR [COUNT] -> {cursor, {key, what, name}...}, of about COUNT keys.
-- What it is: "left", a set without its record; "claim", of an address for a
-- user who does not have it; "name", a record of no name; "strange", none of
-- these and the relay's.
function api.strays(keys, args)
	local count = parse_count(args[3] or STRAYS)
	if #keys > 0 or #args < 2 or #args > 3 or not count or count < 1 or
	    count > LIMITS.strays then
		fail('INVALID', 'the call takes no key, a prefix, a cursor ' ..
		    'and how many keys to look at, at most ' .. LIMITS.strays)
	end
	local prefix = need_prefix(args[1])
	local found = redis.call('SCAN', args[2], 'MATCH',
	    glob_text(prefix) .. '[uai]*', 'COUNT', tostring(count))
	local out, seen = { found[1] }, {}
	for _, key in ipairs(found[2]) do
		local rest = string.sub(key, #prefix + 1)
		if not is_users(prefix, rest, seen) and (
		    string.find(rest, '^user:') or
		    string.find(rest, '^account:') or
		    string.find(rest, '^ip:')) then
			local ok, what, name = pcall(stray_of, prefix, key,
			    seen)
			local text = not ok and error_text(what) or ''
			if string.find(text, '^WRONGTYPE ') or
			    string.find(text, '^CROSSSLOT ') then
				what, name = 'claim', ''
			elseif not ok then
				error(what, 0)
			end
			out[#out + 1] = what and { key, what, name or '' } or
			    nil
		end
	end
	return out
end

-- Mending

local function kind_of_key(keys)
	return kind_named(string.match(keys[1] or '', '([a-z]+):{[^{}]*}$') or
	    '')
end

-- The key of a set of a record, and the kind of its members.
local function set_of(keys, args)
	local kind = kind_of_key(keys)
	local key = record_of(keys, kind)
	local set = kind.set[args[1] or '']
	if not set then
		invalid(args[1] or '', 'not a set: ' .. names_of(kind))
	end
	need_set(key .. ':' .. set.name)
	return key .. ':' .. set.name, canonical[set.kind], set.name
end

-- SET CURSOR -> {cursor, how many are right, member, right...}: a page of the
-- members, and of those that are not canonical the canonical form, or "".
function api.odd_members(keys, args)
	local scan, step, key, check = 'SSCAN', 1, nil, canonical.sender
	if args[1] == 'suppressed' then
		scan, step = 'ZSCAN', 2
		key = record_of(keys, kind_of_key(keys)) .. ':suppressed'
	else
		key, check = set_of(keys, args)
	end
	local found = redis.call(scan, key, args[2] or '0', 'COUNT',
	    tostring(LIMITS.listed))
	local out, count = { found[1], 0 }, 0
	for i = 1, #found[2], step do
		local member = found[2][i]
		local right = check == canonical.range and
		    range_or_nil(member) or check ~= canonical.range and
		    try(check, member)
		if right == member then
			count = count + 1
		else
			out[#out + 1] = member
			out[#out + 1] = right or ''
		end
	end
	out[2] = count
	return out
end

-- SET [MEMBER RIGHT...]: writes members rightly, or takes away those without a
-- right form.  A list of sources is never emptied so, and nothing that counts
-- in it goes.  Replies how many were changed.
function api.mend(keys, args)
	local key, check, name = set_of(keys, args)
	local steps, fresh, gone = {}, {}, {}
	if #args % 2 ~= 1 then
		fail('INVALID', 'a member without its right form: they come ' ..
		    'in pairs')
	end
	need_sizes(args)
	for i = 2, #args, 2 do
		local member, right = args[i], args[i + 1]
		local there = redis.call('SISMEMBER', key, member) == 1
		right = right ~= '' and check(right)
		if there and right ~= member and
		    (right or name ~= 'ips' or not range_or_nil(member)) then
			fresh[#fresh + 1] = right or nil
			gone[#gone + 1] = member
		end
	end
	if name == 'ips' and #fresh == 0 and
	    #gone == redis.call('SCARD', key) then
		return 0
	end
	add_step(steps, 'SADD', key, fresh)
	add_step(steps, 'SREM', key, gone)
	take(steps)
	return #gone
end

-- [FIELD VALUE...] -> 1 or 0: whether all is there but, perhaps, members of
-- sets, so that these can be added.
function api.is(keys, args)
	local kind = kind_of_key(keys)
	local key = record_of(keys, kind)
	need_sizes(args)
	return has_fields(kind, key, args) and 1 or 0
end

-- SUFFIX...: what is left of a record that is not there.
function api.bury(keys, args)
	local kind = kind_of_key(keys)
	local key, gone = record_of(keys, kind), {}
	for _, suffix in ipairs(args) do
		if not COMPANIONS[kind.word][suffix] then
			invalid(suffix, 'nothing that a record leaves')
		end
		gone[#gone + 1] = key .. ':' .. suffix
	end
	if #gone == 0 or exists(key) then
		return 0
	end
	return redis.call('UNLINK', unpack(gone))
end

-- TEXT: frees an address that holds just this, whatever it is.
function api.ip_forget(keys, args)
	local key = #keys == 1 and #args == 1 and
	    string.find(keys[1], '^[!-z|~]+ip:{.*}$') and keys[1] or
	    fail('INVALID', 'the call takes the key of an address and a text')
	if redis.call('GET', key) ~= args[1] then
		return 0
	end
	return redis.call('UNLINK', key)
end

-- Imports

local IMPORTS = { user_add = { add_record, USER },
    user_set = { set_record, USER }, user_put = { put_record, USER },
    account_add = { add_record, ACCOUNT },
    account_set = { set_record, ACCOUNT },
    account_put = { put_record, ACCOUNT },
    user_suppressed_add = { suppressed.put, USER },
    user_suppressed_put = { suppressed.put, USER },
    account_suppressed_add = { suppressed.put, ACCOUNT },
    account_suppressed_put = { suppressed.put, ACCOUNT } }

local function imported(how, key, words, first, last)
	return how[1](how[2], key, name_in(key, how[2]), words, first, last)
end

-- FUNCTION [N WORD...]...: for each key, as many words as that function is
-- called with; its reply, or its error as a text.
function api.import(keys, args)
	local how = IMPORTS[args[1] or '']
	local out, at = {}, 2
	if not how or #keys < 1 or #keys > LIMITS.records then
		fail('INVALID', 'the call takes 1 to ' .. LIMITS.records ..
		    ' keys, the name of a function, and for each key a ' ..
		    'number and so many words')
	end
	need_sizes(args, LIMITS.words)
	for i = 1, #keys do
		local count = parse_digits(args[at] or '', 4)
		if not count or at + count > #args then
			fail('INVALID', 'not as many words as are said')
		end
		out[i] = count
		at = at + 1 + count
	end
	at = 2
	for i = 1, #keys do
		local last = at + out[i]
		local ok, reply = pcall(imported, how, keys[i], args, at + 1,
		    last)
		at = last + 1
		out[i] = ok and reply or error_text(reply) or error(reply, 0)
	end
	return out
end

end
