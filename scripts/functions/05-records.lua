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
--   holds     whether a field keeps a record in being
--   fill      field and value that do so where no such field is left
-- Everything is checked and read before anything is written, and also that the
-- caller may write it all.  What Redis refuses halfway is not undone: where it
-- cannot be asked beforehand, the order is such that nobody is let in.

local CHUNK = 1000		-- words of one command: Lua's stack is short
local RANGES_MAX = 65536
local PREFIX_MAX = 64
local SETS = { 'ips', 'domains' }	-- in the order of writing

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

-- Writing: a list of steps, each a command about one key and, perhaps, words.

local function add_step(steps, command, key, words)
	if not words or #words > 0 then
		steps[#steps + 1] = { command = command, key = key,
		    words = words or {} }
	end
end

-- Before Redis 7.0 it cannot be asked.
local function need_right(step)
	if redis.acl_check_cmd and not redis.acl_check_cmd(step.command,
	    step.key, unpack(step.words, 1, math.min(CHUNK, #step.words))) then
		fail('NOPERM', visible(step.key) .. ': this ACL user may ' ..
		    'not call ' .. step.command)
	end
end

local function take(steps)
	for _, step in ipairs(steps) do
		need_right(step)
	end
	for _, step in ipairs(steps) do
		if #step.words == 0 then
			redis.call(step.command, step.key)
		else
			for_words(step.command, step.key, step.words)
		end
	end
end

-- The new members come first: a list that is empty in between would allow any
-- source.
local function add_set_steps(steps, key, members)
	local wanted, rest = {}, {}
	if #members == 0 then
		add_step(steps, 'DEL', key)
		return
	end
	for _, member in ipairs(members) do
		wanted[member] = true
	end
	for _, member in ipairs(redis.call('SMEMBERS', key)) do
		rest[#rest + 1] = not wanted[member] and member or nil
	end
	add_step(steps, 'SADD', key, members)
	add_step(steps, 'SREM', key, rest)
end

-- Records

-- The keys that a former record of the name has left behind, with the counters
-- of rates.
local function leftovers(kind, key, rates)
	local left = {}
	for _, suffix in ipairs(kind.leftover) do
		left[#left + 1] = key .. suffix
	end
	for _, rate in ipairs(parse_rates(rates or '') or {}) do
		left[#left + 1] = key .. ':used:rate:' .. rate.name
	end
	return left
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

-- The record itself comes last: without it there is no user.
local function create(kind, key, changes)
	local steps, words = {}, {}
	if kind.checks.created and not changes.values.created then
		changes.values.created = time_text(now())
	end
	for field, value in pairs(changes.values) do
		if value ~= '' then
			words[#words + 1] = field
			words[#words + 1] = value
		end
	end
	add_step(steps, 'DEL', key, leftovers(kind, key, changes.values.rate))
	for _, name in ipairs(SETS) do
		add_step(steps, 'SADD', key .. ':' .. name,
		    changes.sets[name] or {})
	end
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

-- What has to be written so that a record outlives its fields.
local function filling(kind, key, write, drop)
	local gone = {}
	if #drop == 0 then
		return {}
	end
	for _, field in ipairs(drop) do
		gone[field] = true
	end
	for i = 1, #write, 2 do
		if kind.holds(write[i]) then
			return {}
		end
	end
	local held = redis.call('HGETALL', key)
	for i = 1, #held, 2 do
		if not gone[held[i]] and kind.holds(held[i]) then
			return {}
		end
	end
	return kind.fill()
end

-- Who is blocked is so before anything else; a list of sources comes before
-- what it is to guard; a limit goes last.
local function update_steps(kind, key, changes, write, drop, replace)
	local steps = {}
	local fill = filling(kind, key, write, drop)
	if changes.values.status == 'blocked' then
		add_step(steps, 'HSET', key, write)
		write = {}
	end
	for _, name in ipairs(SETS) do
		if name == 'domains' then
			add_step(steps, 'HSET', key, write)
		end
		if replace[name] then
			add_set_steps(steps, key .. ':' .. name,
			    changes.sets[name])
		end
	end
	add_step(steps, 'HSET', key, fill)
	add_step(steps, 'HDEL', key, drop)
	return steps
end

local function update(kind, key, changes)
	local write, drop = differences(key, changes.values)
	local replace = {}
	for name, members in pairs(changes.sets) do
		if not same_set(key .. ':' .. name, members) then
			replace[name] = true
		end
	end
	local steps = update_steps(kind, key, changes, write, drop, replace)
	take(steps)
	return #steps > 0 and 'changed' or 'same'
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

-- In one command: a user who is left has a list of sources still.
local function remove_record(kind, key, rates)
	local was = exists(key) and 1 or 0
	redis.call('DEL', key, unpack(leftovers(kind, key, rates)))
	return was
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

