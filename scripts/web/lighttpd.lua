-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Refuses what a client asks for while as many of its requests as this are
-- being answered: lighttpd itself limits those of all clients only.

local MOST = 10

local client = lighty.r.req_attr["request.remote-addr"]
local open = 0
for request in lighty.server.irequests() do
	if request.req_attr["request.remote-addr"] == client then
		open = open + 1
	end
end
if open > MOST then
	return 429
end
return 0
