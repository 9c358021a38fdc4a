-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Holds: what is remembered of a call, lest it be charged twice, and what it has
-- reserved can be given back.
--   user:{NAME}:used:hold:ID  "held UNITS PLACE by:VERSION" while it can be given
--                             back, with its place in the scope of the record, and
--                             which functions have judged it; behind it, of each
--                             sender domain, "DOMAIN PLACE", and what another part
--                             has added; "kept" once it cannot, "void" once it is;
--                             "told" of one that was refused.  In another line, as
--                             JSON, what is to be told, should the answer have been
--                             lost

local holds = {}

do

-- What stands in it, and what was told with it.
function holds.read(key)
	local head, told = string.match(redis.call('GET', key) or '',
	    '^([^\n]*)\n?(.*)$')
	return head, told ~= '' and cjson.decode(told) or {}
end

function holds.write(key, head, events, ...)
	if #events > 0 then
		head = head .. '\n' .. cjson.encode(events)
	end
	redis.call('SET', key, head, ...)
end

local BY = ' by:' .. VERSION

-- The number of the functions that have judged it.
function holds.made_by(head)
	return tonumber(string.match(head, ' by:(%d+)')) or 0
end

-- Of a reservation: its place, each sender domain with its place, and what
-- another part adds, "" or with a space before it.
function holds.text(units, place, of_senders, more)
	local words = { string.format('held %.0f ', units) .. place .. BY }
	for _, one in ipairs(of_senders) do
		words[#words + 1] = ' ' .. one.domain .. ' ' .. one.place
	end
	return table.concat(words) .. more
end

-- Of a reservation that can be given back: its units, and its places, each with
-- scope, start, born and number.  Nil for none.  Of what version 3 has reserved
-- the rates are not given back; what version 4 has does not say by:VERSION.
function holds.places(head, keys)
	local units, start, rest = string.match(head,
	    '^held (%d+) (%d+) ?(.*)$')
	local born, number, others = string.match(rest or '',
	    '^(%d+) (%d+)(.*)$')
	others = string.gsub(others or '', '^ by:%d+', '')
	if not units then
		return nil
	end
	local places = { { scope = scopes.of_record(keys),
	    start = tonumber(start), born = tonumber(born) or 0,
	    number = tonumber(number) or 0 } }
	for domain, from, of, at in string.gmatch(others,
	    ' ([^ ]+) (%d+) (%d+) (%d+)') do
		places[#places + 1] = {
		    scope = scopes.of_sender(keys, nil, domain),
		    start = tonumber(from), born = tonumber(of),
		    number = tonumber(at) }
	end
	return tonumber(units), places
end

end
