-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What users and accounts have in common: a hash with fields, and sets behind
-- it.  A kind of record is a table:
--   word      "user", which comes before the {NAME} of its key
--   name      how its name is checked
--   missing   the error where there is none
--   given     what a call may give, in words
--   read      the fields that the relay reads and a call may give, in order
--   checks    how the value of each field is checked
--   elsewhere how a field that a call may not give is set
--   sets      how a member of each set is checked
--   defaults  fields that one has where they are not given or empty
--   leftover  keys behind its own that go when it comes or goes
--   fill      what keeps a record whose last field was removed
-- Everything is checked before anything is written.

local CHUNK = 1000		-- words of one command: Lua's stack is short
local RANGES_MAX = 65536
local PREFIX_MAX = 64

-- The key of a call and the name in it.
local function record_of(keys, kind)
	if #keys ~= 1 then
		fail('INVALID', 'the call takes one key, of the form PREFIX' ..
		    kind.word .. ':{NAME}')
	end
	local key = keys[1]
	local prefix, name = string.match(key, '^([!-z|~]+)' .. kind.word ..
	    ':{([^{}]*)}$')
	if not prefix or #prefix > PREFIX_MAX then
		invalid(key, 'not the key of a record: PREFIX' .. kind.word ..
		    ':{NAME}')
	end
	local right = kind.name(name)
	if right ~= name then
		invalid(name, kind.word .. ' names are lower case: ' .. right)
	end
	return key, name
end

local function type_of(key)
	return redis.call('TYPE', key).ok
end

local function wrong_type(key, wanted)
	fail('WRONGTYPE', visible(key) .. ': not a ' .. wanted)
end

-- Whether a record is there.
local function exists(key)
	local found = type_of(key)
	if found ~= 'hash' and found ~= 'none' then
		wrong_type(key, 'hash')
	end
	return found == 'hash'
end

local function need(kind, key, name)
	if not exists(key) then
		fail(kind.missing, name .. ': no such ' .. kind.word)
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

-- Canonical members, each once.
local function members_of(words, check)
	local members, seen = {}, {}
	for _, word in ipairs(words) do
		local member = check(word)
		if not seen[member] then
			members[#members + 1] = member
		end
		seen[member] = true
	end
	return members
end

local function split(text)
	local words = {}
	for word in string.gmatch(text, '[^ ]+') do
		words[#words + 1] = word
	end
	return words
end

-- What a call wants to have: canonical values by field, "" for none; members
-- by set.  When a record was created is not unsaid.
local function changes_of(kind, args)
	local changes, named = { values = {}, sets = {} }, {}
	if #args % 2 ~= 0 then
		fail('INVALID', 'a field without a value: they come in pairs')
	end
	for i = 1, #args, 2 do
		local field, value = args[i], args[i + 1]
		local check, member = kind.checks[field], kind.sets[field]
		if named[field] then
			invalid(field, 'named twice')
		elseif member then
			changes.sets[field] = members_of(split(value), member)
		elseif not check then
			invalid(field, kind.elsewhere[field] or
			    'not a field that can be set: ' .. kind.given)
		elseif value ~= '' then
			changes.values[field] = check(value)
		elseif field ~= 'created' then
			changes.values[field] = kind.defaults[field] or ''
		end
		named[field] = true
	end
	if changes.sets.ips and #changes.sets.ips > RANGES_MAX then
		fail('INVALID', 'ips: a list has at most ' .. RANGES_MAX ..
		    ' entries')
	end
	return changes
end

-- Sets

local function same_set(key, members)
	need_set(key)
	return redis.call('SCARD', key) == #members and
	    for_words('SMISMEMBER', key, members) == #members
end

local function replace_set(key, members)
	redis.call('DEL', key)
	for_words('SADD', key, members)
end

-- Records

-- What a former record of the name has left behind, and the counters of rates.
local function remove_leftovers(kind, key, rates)
	local gone = {}
	for _, suffix in ipairs(kind.leftover) do
		gone[#gone + 1] = key .. suffix
	end
	for _, rate in ipairs(parse_rates(rates or '') or {}) do
		gone[#gone + 1] = key .. ':used:rate:' .. rate.name
	end
	redis.call('DEL', unpack(gone))
end

local function is_same(kind, key, changes)
	local flat = redis.call('HGETALL', key)
	local left = {}
	for field, value in pairs(changes.values) do
		left[field] = value ~= '' and value or nil
	end
	for i = 1, #flat, 2 do
		local field = flat[i]
		if left[field] ~= flat[i + 1] and
		    (left[field] or field ~= 'created') then
			return false
		end
		left[field] = nil
	end
	if next(left) then
		return false
	end
	for name in pairs(kind.sets) do
		if not same_set(key .. ':' .. name, changes.sets[name] or {})
		then
			return false
		end
	end
	return true
end

local function add_defaults(kind, changes)
	for field, value in pairs(kind.defaults) do
		changes.values[field] = changes.values[field] or value
	end
end

local function create(kind, key, changes)
	local words = {}
	if kind.checks.created and not changes.values.created then
		changes.values.created = time_text(now())
	end
	for field, value in pairs(changes.values) do
		if value ~= '' then
			words[#words + 1] = field
			words[#words + 1] = value
		end
	end
	remove_leftovers(kind, key, changes.values.rate)
	redis.call('HSET', key, unpack(words))
	for name, members in pairs(changes.sets) do
		for_words('SADD', key .. ':' .. name, members)
	end
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

local function drop_fields(kind, key, fields)
	redis.call('HDEL', key, unpack(fields))
	kind.fill(key)
end

local function update(kind, key, changes)
	local write, drop = differences(key, changes.values)
	local replace = {}
	for name, members in pairs(changes.sets) do
		if not same_set(key .. ':' .. name, members) then
			replace[#replace + 1] = name
		end
	end
	if #write > 0 then
		redis.call('HSET', key, unpack(write))
	end
	if #drop > 0 then
		drop_fields(kind, key, drop)
	end
	for _, name in ipairs(replace) do
		replace_set(key .. ':' .. name, changes.sets[name])
	end
	return #write + #drop + #replace > 0 and 'changed' or 'same'
end

local function add_record(kind, keys, args)
	local key, name = record_of(keys, kind)
	local changes = changes_of(kind, args)
	add_defaults(kind, changes)
	if not exists(key) then
		return create(kind, key, changes)
	elseif not is_same(kind, key, changes) then
		fail('EXISTS', name .. ': exists already')
	end
	return 'same'
end

local function set_record(kind, keys, args)
	local key, name = record_of(keys, kind)
	local changes = changes_of(kind, args)
	need(kind, key, name)
	return update(kind, key, changes)
end

local function put_record(kind, keys, args)
	local key = record_of(keys, kind)
	local changes = changes_of(kind, args)
	if exists(key) then
		return update(kind, key, changes)
	end
	add_defaults(kind, changes)
	return create(kind, key, changes)
end

local function remove_record(kind, key, rates)
	remove_leftovers(kind, key, rates)
	return redis.call('DEL', key)
end

-- Members of the sets of a record, one by one

local function need_words(words, what)
	if #words == 0 then
		fail('INVALID', 'no ' .. what .. ' is given')
	end
end

local function add_domains(kind, keys, args)
	local key, name = record_of(keys, kind)
	need_words(args, 'domain')
	local domains = members_of(args, canonical.domain)
	need(kind, key, name)
	need_set(key .. ':domains')
	return for_words('SADD', key .. ':domains', domains)
end

-- Also what is no domain, by its exact text.
local function remove_domains(kind, keys, args)
	local key, name = record_of(keys, kind)
	need_words(args, 'domain')
	local same = {}
	for _, text in ipairs(args) do
		same[#same + 1] = text
		same[#same + 1] = try(canonical.domain, text)
	end
	need(kind, key, name)
	need_set(key .. ':domains')
	return for_words('SREM', key .. ':domains', same)
end

