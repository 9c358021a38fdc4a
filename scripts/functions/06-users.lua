-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Users.

local USER = record_kind({
	word = 'user',
	check = canonical.name,
	missing = 'NOUSER',
	fields = {
		{ name = 'password', kind = 'hash', secret = true, unset = true,
		    help = 'a hash that crypt(3) makes' },
		{ name = 'account', kind = 'account',
		    help = 'the account that the user belongs to' },
		{ name = 'mode', kind = 'mode', words = MODES,
		    absent = 'default',
		    help = 'which domains the user may send as' },
		{ name = 'status', kind = 'status', words = STATUSES,
		    absent = 'allowed',
		    help = 'whether mail is sent, refused or discarded' },
		{ name = 'quota', kind = 'quota', number = true,
		    help = 'messages in a period, 0 = unlimited' },
		{ name = 'quota_period', kind = 'period', number = true,
		    weak = true,
		    help = 'seconds, or a number with s, m, h, d or w' },
		{ name = 'rate', kind = 'rate',
		    help = 'up to eight of messages/period' },
		{ name = 'over', kind = 'over', words = OVERS,
		    help = 'what happens to mail beyond a quota or rate' },
		{ name = 'sender_quota', kind = 'quota', number = true,
		    help = 'the quota of each sender domain, 0 = unlimited' },
		{ name = 'sender_rate', kind = 'rate',
		    help = 'the rates of each sender domain' },
		{ name = 'max_recipients', kind = 'limit', number = true,
		    help = 'recipients of a message, 0 = unlimited' },
		{ name = 'max_size', kind = 'size', number = true,
		    help = 'bytes of a message, or a number with K, M or G, ' ..
		    '0 = unlimited' },
		{ name = 'alarms', kind = 'alarms',
		    help = 'limits of alarms, KIND=number/period or KIND=off' },
		{ name = 'ip_auth', kind = 'address', unset = true,
		    help = 'the address that authenticates the user' },
		{ name = 'restricted', kind = 'flag', words = FLAGS,
		    absent = '0', follows = 'ips',
		    help = 'whether an empty list of sources allows none' },
		{ name = 'blocked_by', kind = 'description', note = true,
		    of = 'status',
		    help = 'what has set the status, such as alarm:sources' },
		{ name = 'blocked_at', kind = 'time', note = true, unset = true,
		    of = 'status', help = 'since when, in UTC' },
		{ name = 'blocked_until', kind = 'time', of = 'status',
		    help = 'when a status other than allowed ends, in UTC' },
		{ name = 'description', kind = 'description', note = true,
		    help = 'one line of text' },
		{ name = 'created', kind = 'time', unset = true,
		    help = 'when the user was made, in UTC' },
	},
	sets = {
		{ name = 'domains', kind = 'sender',
		    help = 'domains and addresses that the user may send as' },
		{ name = 'ips', kind = 'range', most = RANGES_MAX,
		    help = 'sources that the user may send from; if empty, ' ..
		    'all, or none if restricted' },
	},
	-- Counters are of who has logged in.
	signs = 6,
	leftover = { ':domains', ':ips', ':suppressed', ':log', ':failed',
	    ':last', ':used:quota', ':used:quota:told', ':used:rate',
	    ':used:senders', ':used:senders:until' },
})

local LOGS = { [':log'] = true, [':failed'] = true }
local LOGS_KEPT = 30 * 86400	-- seconds that those of a deleted user stay

function api.user_add(keys, args)
	return written(add_record, USER, keys, args)
end

function api.user_set(keys, args)
	return written(set_record, USER, keys, args)
end

function api.user_put(keys, args)
	return written(put_record, USER, keys, args)
end

-- All in one command: a user who is left has a list of sources still.
function api.user_del(keys, args)
	local key = record_of(keys, USER)
	local purge = args[1] == 'purge'
	if #args > 1 or (args[1] and not purge) then
		fail('INVALID', 'the call takes a key and, perhaps, the word ' ..
		    'purge')
	end
	local there = exists(key)
	local held = there and redis.call('HMGET', key, 'ip_auth', 'rate') or {}
	local steps, gone, kept = {}, { key }, {}
	address_steps(steps, key, string.match(key, '{(.*)}'), held[1], '')
	for _, left in ipairs(leftovers(USER, key, held[2])) do
		if purge or not LOGS[string.sub(left, #key + 1)] then
			gone[#gone + 1] = left
		elseif redis.call('EXISTS', left) == 1 then
			kept[#kept + 1] = left
		end
	end
	add_step(steps, 'UNLINK', gone[1], { unpack(gone, 2) })
	for _, log in ipairs(kept) do
		add_step(steps, 'EXPIRE', log,
		    { string.format('%.0f', LOGS_KEPT) })
	end
	take(steps)
	return there and 1 or 0
end

function api.user_reset(keys)
	return reset_record(USER, keys)
end

-- Both names in one call; in a cluster they are in different slots, so that
-- Redis itself refuses it.  A key has its time to live still.
function api.user_rename(keys)
	if #keys ~= 2 then
		fail('INVALID', 'the call takes two keys, of the form ' ..
		    'PREFIXuser:{NAME}')
	end
	local from, old = record_of({ keys[1] }, USER)
	local to, new = record_of({ keys[2] }, USER)
	if key_beside(from, 'user', new) ~= to then
		invalid(to, 'another prefix than that of ' .. visible(from))
	end
	need(USER, from, old)
	if exists(to) then
		fail('EXISTS', new .. ': exists already')
	end
	local held = redis.call('HMGET', from, 'ip_auth', 'rate', 'account')
	local steps = {}
	if held[3] and try(canonical.account, held[3]) then
		need_account(from, new, canonical.account(held[3]))
	end
	add_step(steps, 'UNLINK', to, leftovers(USER, to, held[2]))
	local address = address_or_nil(held[1] or '')
	if address then
		local there = key_beside(from, 'ip', address)
		if owner_of(there) == old then
			add_step(steps, 'SET', there, { new })
		end
	end
	for _, left in ipairs(leftovers(USER, from, held[2])) do
		if redis.call('EXISTS', left) == 1 then
			add_step(steps, 'RENAME', left,
			    { to .. string.sub(left, #from + 1) })
		end
	end
	add_step(steps, 'RENAME', from, { to })
	take(steps)
	return 'renamed'
end

function api.user_domain_add(keys, args)
	return add_domains(USER, keys, args)
end

function api.user_domain_rm(keys, args)
	return remove_domains(USER, keys, args)
end

