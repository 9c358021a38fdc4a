-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What users and accounts have in common: a hash with fields, and sets behind
-- it.  A kind of record is a table:
--   word      "user", which comes before the {NAME} of its key
--   check     how its name is checked
--   missing   the error where there is none
--   fields    in order: name, kind of value, help; what the relay takes for it
--             where it is not there (absent) and what a new record gets
--             (given); the words that it can be (words); the set that must
--             not be lost where it is 1 (follows); whether it is secret, a
--             number, a note that the relay does not read, or weak, since the
--             programs do not read it, and so no sign of a record; the field
--             without which it means nothing (of), and with which it goes;
--             whether nobody sets it by itself: it comes with something else
--             (unset)
--   sets      in order: name, kind of member, help
--   leftover  keys behind its own that go when it comes or goes; where there
--             is any of them, there is one of the first (signs)
--   field     the fields by name, set the sets
-- This is where a field stands, for all that read or write it.
-- Everything is checked and read before anything is written, and also that the
-- caller may write it all.  What Redis refuses halfway is not undone: where it
-- cannot be asked beforehand, the order is such that nobody is let in.

local CHUNK = 1000		-- words of one command: Lua's stack is short
local RANGES_MAX = 65536
local PREFIX_MAX = 64
local SETS = { 'ips', 'domains' }	-- in the order of writing

local function is_sign(field)
	return not field.note and not field.weak
end

-- While a library loads there is no ipairs().
local function by_name(rows)
	local found = {}
	for i = 1, #rows do
		found[rows[i].name] = rows[i]
	end
	return found
end

local function record_kind(kind)
	kind.field, kind.set = by_name(kind.fields), by_name(kind.sets)
	kind.key = '^([!-z|~]+)' .. kind.word .. ':{([^{}]*)}$'
	kind.givers, kind.followers, kind.dependents = {}, {}, {}
	for i = 1, #kind.fields do
		local field = kind.fields[i]
		kind.givers[#kind.givers + 1] = field.given and field
		kind.followers[#kind.followers + 1] = field.follows and field
		kind.dependents[#kind.dependents + 1] = field.of and field
	end
	return kind
end

local function name_in(key, kind)
	local prefix, name = string.match(key, kind.key)
	if not prefix or #prefix > PREFIX_MAX then
		invalid(key, 'not the key of a record: PREFIX' .. kind.word ..
		    ':{NAME}')
	end
	local right = kind.check(name)
	if right ~= name then
		invalid(name, kind.word .. ' names are lower case: ' .. right)
	end
	return name
end

-- The key of a call and the name in it.
local function record_of(keys, kind)
	if #keys ~= 1 then
		fail('INVALID', 'the call takes one key, of the form PREFIX' ..
		    kind.word .. ':{NAME}')
	end
	return keys[1], name_in(keys[1], kind)
end

local function type_of(key)
	return redis.call('TYPE', key).ok
end

local function wrong_type(key, wanted)
	fail('WRONGTYPE', visible(key) .. ': not a ' .. wanted)
end

-- Whether a record is there.
local function exists(key)
	local count = redis.pcall('HLEN', key)
	if type(count) == 'number' then
		return count > 0
	elseif string.find(count.err, 'WRONGTYPE', 1, true) then
		wrong_type(key, 'hash')
	end
	error({ err = count.err }, 0)
end

local function need(kind, key, name)
	if not exists(key) then
		fail(kind.missing, name .. ': no such ' .. kind.word)
	end
end

-- How many members a set has; nil where it is none.
local function size_of(key)
	local count = redis.pcall('SCARD', key)
	if type(count) == 'number' then
		return count
	elseif not string.find(count.err, 'WRONGTYPE', 1, true) then
		error({ err = count.err }, 0)
	end
end

local function need_set(key)
	local found = type_of(key)
	if found ~= 'set' and found ~= 'none' then
		wrong_type(key, 'set')
	end
end

-- A command about one key and many words; its replies, which are numbers or
-- lists of them, added up.
local function for_words(command, key, words)
	local sum = 0
	for first = 1, #words, CHUNK do
		local reply = redis.call(command, key,
		    unpack(words, first, math.min(first + CHUNK - 1, #words)))
		if type(reply) == 'number' then
			sum = sum + reply
		else
			for _, n in ipairs(reply) do
				sum = sum + n
			end
		end
	end
	return sum
end

local function append(list, more)
	for _, word in ipairs(more) do
		list[#list + 1] = word
	end
	return list
end

-- Canonical members, each once.
local function members_of(words, check)
	local members, seen = {}, {}
	if #words == 1 then
		return { check(words[1]) }
	end
	for i = 1, #words do
		local member = check(words[i])
		if not seen[member] then
			members[#members + 1] = member
			seen[member] = true
		end
	end
	return members
end

-- Sizes are judged before what is in the words.
local function need_sizes(args, most)
	local bytes = 0
	most = most or LIMITS.members
	for i = 1, math.min(#args, most) do
		bytes = bytes + #args[i]
	end
	if #args > most or bytes > LIMITS.bytes then
		fail('INVALID', 'a call takes at most ' .. most ..
		    ' words, of at most ' .. LIMITS.bytes .. ' bytes')
	end
end

-- The words of a text.
local function split(text, field)
	local words = {}
	if text ~= '' and not string.find(text, ' ', 1, true) then
		words[1] = text
	else
		for word in string.gmatch(text, '[^ ]+') do
			words[#words + 1] = word
		end
	end
	left.members = left.members - #words
	if left.members < 0 then
		invalid(field, 'a call takes at most ' .. LIMITS.members ..
		    ' domains and ranges: add the others with further calls')
	end
	return words
end

-- The status that counts.  One that has run out is allowed; an end that cannot be
-- read is none.
local function status_now(status, ends, time)
	if (status == 'blocked' or status == 'sandboxed') and ends and
	    try(canonical.time, ends) and ends <= time_text(time) then
		return 'allowed'
	end
	return (status or '') ~= '' and status or 'allowed'
end

-- What a call may give, in words.
local function names_of(kind)
	local names = {}
	for _, rows in ipairs({ kind.fields, kind.sets }) do
		for _, row in ipairs(rows) do
			names[#names + 1] = row.name
		end
	end
	return table.concat(names, ', ')
end

local changes_of
do
	-- Who gives a set that restricts, without a word on that, means it to
	-- stay: what is lost must not open anything.  Who gives an empty one
	-- lifts it.
	local function follow_sets(kind, changes)
		for _, field in ipairs(kind.followers) do
			local members = changes.sets[field.follows]
			local value = changes.values[field.name] or ''
			if members and value == '' then
				changes.values[field.name] =
				    #members > 0 and '1' or ''
				changes.implied[field.name] = true
			end
		end
	end

	-- Who sets a field means what there is now to be said of it.
	local function drop_former(kind, changes)
		for i = 1, #kind.dependents do
			local field = kind.dependents[i]
			if changes.values[field.of] then
				changes.values[field.name] =
				    changes.values[field.name] or ''
			end
		end
	end

	-- What is wanted, in pairs from one word to another: canonical values
	-- by field, "" for none; members by set; which fields are implied, since
	-- nobody has given a value; a warning.  When a record was created is not
	-- unsaid.
	function changes_of(kind, words, first, last)
		local values, sets, fields = {}, {}, kind.field
		local changes = { values = values, sets = sets, implied = {} }
		if (last - first) % 2 ~= 1 then
			fail('INVALID', 'a field without a value: they come ' ..
			    'in pairs')
		end
		for i = first, last, 2 do
			local name, value = words[i], words[i + 1]
			local field, set = fields[name], kind.set[name]
			if values[name] or sets[name] then
				invalid(name, 'named twice')
			elseif field and value ~= '' then
				values[name] = canonical[field.kind](value)
			elseif field and name ~= 'created' then
				values[name] = field.given or ''
			elseif set then
				sets[name] = members_of(split(value, name),
				    canonical[set.kind])
			elseif not field then
				invalid(name, 'not a field that can be set: ' ..
				    names_of(kind))
			end
		end
		follow_sets(kind, changes)
		drop_former(kind, changes)
		if values.password then
			changes.warning = slow_text(values.password)
		end
		return changes
	end
end

-- The reply, and behind it what a person should know.
local function told(result, changes)
	return result .. (changes.warning and ' warning: ' .. changes.warning or
	    '')
end

-- Sets

local function same_set(key, members)
	local count = size_of(key) or wrong_type(key, 'set')
	return count == #members and
	    (count == 0 or for_words('SMISMEMBER', key, members) == count)
end

-- Writing: a list of steps, each of which is three in a row: a command, one key
-- that it is about, and words, which may be none.

local NONE = {}

local function add_step(steps, command, key, words)
	if not words or #words > 0 then
		local n = #steps
		steps[n + 1], steps[n + 2], steps[n + 3] = command, key,
		    words or NONE
	end
end

local function need_right(command, key, words)
	if not redis.acl_check_cmd(command, key,
	    unpack(words, 1, math.min(#words, CHUNK))) then
		fail('NOPERM', visible(key) .. ': this ACL user may not ' ..
		    'call ' .. command)
	end
end

local function take(steps)
	for i = 1, #steps, 3 do
		need_right(steps[i], steps[i + 1], steps[i + 2])
	end
	for i = 1, #steps, 3 do
		local words = steps[i + 2]
		if #words <= CHUNK then
			redis.call(steps[i], steps[i + 1], unpack(words))
		else
			for_words(steps[i], steps[i + 1], words)
		end
	end
end

-- The new members come first: a list that is empty in between would allow any
-- source.
local function add_set_steps(steps, key, members)
	local wanted, rest = {}, {}
	if #members == 0 then
		add_step(steps, 'UNLINK', key)
		return
	end
	local count = redis.call('SCARD', key)
	if count > LIMITS.members then
		fail('INVALID', visible(key) .. ': more members than a call ' ..
		    'can replace: add and remove instead')
	elseif count > left.replaced then
		fail('INVALID', visible(key) .. ': a call replaces at most ' ..
		    LIMITS.replaced .. ' members: write this record by ' ..
		    'another')
	end
	left.replaced = left.replaced - count
	for _, member in ipairs(members) do
		wanted[member] = true
	end
	for _, member in ipairs(redis.call('SMEMBERS', key)) do
		rest[#rest + 1] = not wanted[member] and member or nil
	end
	add_step(steps, 'SADD', key, members)
	add_step(steps, 'SREM', key, rest)
end

-- Keys beside the record: they are in other slots of a cluster

-- The reply to a command about one; ends the call where that is not here.
local function beside(command, key, ...)
	local reply = redis.pcall(command, key, ...)
	local text = type(reply) == 'table' and reply.err
	if text and (string.find(text, 'same slot', 1, true) or
	    string.find(text, 'non local key', 1, true)) then
		fail('CROSSSLOT', visible(key) .. ': in another slot of ' ..
		    'this cluster, see CLUSTER in smtpusers-functions(7)')
	elseif text then
		error({ err = text }, 0)
	end
	return reply
end

-- The prefix may end in a letter.
local key_beside
do
	local function prefix_of(before)
		for _, kind in ipairs({ 'user', 'account', 'ip' }) do
			local prefix = string.sub(before, 1, -#kind - 1)
			if prefix .. kind == before then
				return prefix
			end
		end
	end

	local last, prefix		-- of the last key

	function key_beside(key, word, name)
		local before = string.sub(key, 1,
		    string.find(key, ':{', 1, true) - 1)
		if before ~= last then
			last, prefix = before, prefix_of(before)
		end
		return prefix .. word .. ':{' .. name .. '}'
	end
end

-- The user of an address.  The relay folds the name too, and takes what is none
-- for nobody.
local function owner_of(key)
	return (try(canonical.name, beside('GET', key) or ''))
end

-- An account may take only users whose names begin as it says.
local function need_account(key, name, account)
	local ok, prefix = pcall(beside, 'HGET',
	    key_beside(key, 'account', account), 'user_prefix')
	local text = not ok and error_text(prefix)
	if ok and prefix and prefix ~= '' and
	    string.sub(name, 1, #prefix) ~= prefix then
		invalid(account, 'this account takes only users whose ' ..
		    'names begin with ' .. visible(prefix))
	elseif not ok and not (text and (string.find(text, '^CROSSSLOT ') or
	    string.find(text, '^WRONGTYPE '))) then
		error(prefix, 0)
	end
end

-- An address authenticates a user only where its key names the user and the
-- user's ip_auth is that address.  Steps that free the former one before any
-- other; the key and the name that take the new one, if they do not already.
local function address_steps(steps, key, name, former, address)
	former = address_or_nil(former or '')
	if former and former ~= address then
		local there = key_beside(key, 'ip', former)
		local ok, owner = pcall(owner_of, there)
		local text = not ok and error_text(owner)
		if not ok and not (text and
		    string.find(text, '^WRONGTYPE ')) then
			error(owner, 0)
		elseif ok and owner == name then
			add_step(steps, 'UNLINK', there)
		end
	end
	if address == '' then
		return
	end
	local there = key_beside(key, 'ip', address)
	local owner = owner_of(there)
	if owner and owner ~= name then
		fail('INUSE', address .. ': another user has this address')
	elseif not owner then
		return { key = there, words = { name } }
	end
end

local function add_claim(steps, claim)
	if claim then
		add_step(steps, 'SET', claim.key, claim.words)
	end
end

-- Records

-- With the counters that version 3 has made of these rates.
local function append_counters(keys, key, rates)
	for _, rate in ipairs(rates and parse_rates(rates) or NONE) do
		keys[#keys + 1] = key .. ':used:rate:' .. rate.name
	end
	return keys
end

-- The keys that a former record of the name has left behind.
local function leftovers(kind, key, rates)
	local left = { unpack(kind.leftover) }
	for i = 1, #left do
		left[i] = key .. left[i]
	end
	return append_counters(left, key, rates)
end

-- Mostly there are none, and to ask for a few of them costs a third.
local function leftover_steps(steps, kind, key, rates)
	local signs = { key }
	for i = 1, kind.signs do
		signs[i + 1] = key .. kind.leftover[i]
	end
	if redis.call('EXISTS', unpack(signs)) > 0 then
		add_step(steps, 'UNLINK', key, leftovers(kind, key, rates))
	end
end

local filling, add_record, set_record, put_record, has_fields
do

-- What a field means that may not be there.
local function meaning(field, value)
	return (value or '') ~= '' and value or field.absent or field.given or
	    ''
end

-- Whether a field is held as it is wanted.  What nobody has given a value of may
-- also not be there.
local function is_held(field, held, changes)
	local wanted = changes.values[field.name]
	if (held or '') == '' and changes.implied[field.name] then
		return true
	elseif field.name == 'created' and not wanted then
		return true
	end
	return meaning(field, held) == meaning(field, wanted)
end

local function same_fields(kind, key, changes)
	local held = {}
	if redis.call('HLEN', key) > #kind.fields then
		return false
	end
	local flat = redis.call('HGETALL', key)
	for i = 1, #flat, 2 do
		if not kind.field[flat[i]] then
			return false
		end
		held[flat[i]] = flat[i + 1]
	end
	for i = 1, #kind.fields do
		local field = kind.fields[i]
		if not is_held(field, held[field.name], changes) then
			return false
		end
	end
	return true
end

local function is_same(kind, key, name, changes)
	if not same_fields(kind, key, changes) then
		return false
	end
	for _, set in ipairs(kind.sets) do
		if not same_set(key .. ':' .. set.name,
		    changes.sets[set.name] or {}) then
			return false
		end
	end
	local address = changes.values.ip_auth or ''
	return address == '' or
	    owner_of(key_beside(key, 'ip', address)) == name
end

local function add_given(kind, changes)
	for _, field in ipairs(kind.givers) do
		changes.values[field.name] = changes.values[field.name] or
		    field.given
	end
end

-- What is to be so beside the record.
local function need_others(kind, key, name, changes)
	if kind.field.account and (changes.values.account or '') ~= '' then
		need_account(key, name, changes.values.account)
	end
end

-- The record itself comes last: without it there is no user.
local function create(kind, key, name, changes)
	-- With room for what most have, so that they need not grow.
	local steps = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil,
	    nil }
	local words, n = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil,
	    nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }, 0
	need_others(kind, key, name, changes)
	if kind.field.created and not changes.values.created then
		changes.values.created = time_text(now())
	end
	for field, value in pairs(changes.values) do
		if value ~= '' then
			words[n + 1], words[n + 2] = field, value
			n = n + 2
		end
	end
	local claim = address_steps(steps, key, name, nil,
	    changes.values.ip_auth or '')
	leftover_steps(steps, kind, key, changes.values.rate)
	for _, set in ipairs(SETS) do
		add_step(steps, 'SADD', key .. ':' .. set,
		    changes.sets[set] or {})
	end
	add_claim(steps, claim)
	add_step(steps, 'HSET', key, words)
	take(steps)
	return 'added'
end

-- The fields of the hash that have to be written and to be removed.
local function differences(key, values)
	local fields, write, drop = {}, {}, {}
	for field in pairs(values) do
		fields[#fields + 1] = field
	end
	if #fields == 0 then
		return write, drop
	end
	local held = redis.call('HMGET', key, unpack(fields))
	for i, field in ipairs(fields) do
		local value = values[field]
		if value == '' then
			drop[#drop + 1] = held[i] and field or nil
		elseif held[i] ~= value then
			write[#write + 1] = field
			write[#write + 1] = value
		end
	end
	return write, drop
end

-- What has to be written so that a record outlives its fields: the relay takes
-- one of those that it reads for a sign that there is a user.
function filling(kind, key, write, drop)
	local gone, names = {}, {}
	if #drop == 0 then
		return {}
	end
	for _, field in ipairs(drop) do
		gone[field] = true
	end
	for i = 1, #write, 2 do
		if is_sign(kind.field[write[i]]) then
			return {}
		end
	end
	for _, field in ipairs(kind.fields) do
		if is_sign(field) and not gone[field.name] then
			names[#names + 1] = field.name
		end
	end
	for _, value in pairs(redis.call('HMGET', key, unpack(names))) do
		if value then
			return {}
		end
	end
	if kind.field.created then
		return { 'created', time_text(now()) }
	end
	return { 'plan', kind.field.plan.given }
end

-- Who is blocked is so before anything else; a list of sources comes before
-- what it is to guard; a limit goes last.
local function update_steps(kind, key, name, changes, write, drop, replace)
	local steps, claim = {}, nil
	local fill = filling(kind, key, write, drop)
	if changes.values.ip_auth then
		claim = address_steps(steps, key, name,
		    redis.call('HGET', key, 'ip_auth'), changes.values.ip_auth)
	end
	if changes.values.status == 'blocked' then
		add_step(steps, 'HSET', key, write)
		write = {}
	end
	for _, set in ipairs(SETS) do
		if set == 'domains' then
			add_claim(steps, claim)
			add_step(steps, 'HSET', key, write)
		end
		if replace[set] then
			add_set_steps(steps, key .. ':' .. set,
			    changes.sets[set])
		end
	end
	add_step(steps, 'HSET', key, fill)
	add_step(steps, 'HDEL', key, drop)
	return steps
end

local function update(kind, key, name, changes)
	local write, drop = differences(key, changes.values)
	local replace = {}
	need_others(kind, key, name, changes)
	for set, members in pairs(changes.sets) do
		if not same_set(key .. ':' .. set, members) then
			replace[set] = true
		end
	end
	local steps = update_steps(kind, key, name, changes, write, drop,
	    replace)
	take(steps)
	return #steps > 0 and 'changed' or 'same'
end

-- Records that are written as words say it, from one to another.

function add_record(kind, key, name, words, first, last)
	local there = exists(key)
	local changes = changes_of(kind, words, first, last)
	add_given(kind, changes)
	if not there then
		return told(create(kind, key, name, changes), changes)
	elseif not is_same(kind, key, name, changes) then
		fail('EXISTS', name .. ': exists already')
	end
	return told('same', changes)
end

-- Whether a record that is added so has the fields that one has, whatever is in
-- its sets.
function has_fields(kind, key, words)
	local changes = changes_of(kind, words, 1, #words)
	add_given(kind, changes)
	return exists(key) and same_fields(kind, key, changes)
end

function set_record(kind, key, name, words, first, last)
	need(kind, key, name)
	local changes = changes_of(kind, words, first, last)
	return told(update(kind, key, name, changes), changes)
end

function put_record(kind, key, name, words, first, last)
	local there = exists(key)
	local changes = changes_of(kind, words, first, last)
	if there then
		return told(update(kind, key, name, changes), changes)
	end
	add_given(kind, changes)
	return told(create(kind, key, name, changes), changes)
end

end

-- The same of a call.
local function written(how, kind, keys, args)
	local key, name = record_of(keys, kind)
	need_sizes(args)
	return how(kind, key, name, args, 1, #args)
end

-- The counters of a record, of the limits that there are now.
local function reset_record(kind, keys)
	local key, name = record_of(keys, kind)
	local gone = {}
	need(kind, key, name)
	for _, left in ipairs(leftovers(kind, key, redis.call('HGET', key,
	    'rate'))) do
		gone[#gone + 1] = string.find(left, ':used:', #key, true) and
		    left or nil
	end
	return redis.call('UNLINK', unpack(gone))
end

-- Members of the sets of a record, one by one

local function need_words(words, what)
	if #words == 0 then
		fail('INVALID', 'no ' .. what .. ' is given')
	end
	need_sizes(words)
end

local function add_domains(kind, keys, args)
	local key, name = record_of(keys, kind)
	need(kind, key, name)
	need_words(args, 'domain')
	need_set(key .. ':domains')
	return for_words('SADD', key .. ':domains',
	    members_of(args, canonical[kind.set.domains.kind]))
end

-- Also what is no domain, by its exact text.
local function remove_domains(kind, keys, args)
	local key, name = record_of(keys, kind)
	local same = {}
	need(kind, key, name)
	need_words(args, 'domain')
	need_set(key .. ':domains')
	for _, text in ipairs(args) do
		same[#same + 1] = text
		if not is_plain_domain(text) then
			same[#same + 1] = try(
			    canonical[kind.set.domains.kind], text)
		end
	end
	return for_words('SREM', key .. ':domains', same)
end

