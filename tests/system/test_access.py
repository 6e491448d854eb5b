"""Who may use which route: every route of the table × every relation to what it is about × every role, asked of the real server.

A query parameter that no route knows is refused with 422, but only of those who may use the route at all: so each call tells
whether the rule let it through, and changes nothing."""
import time

import pytest
from support import Service, Signer

LEVELS = ["none", "ReadOnly", "Operator", "Manager", "Owner"]

# What the product promises, written down apart from the table: the role that a route needs on what it is about. A route that
# is not here fails the test, and so does one whose rule differs.
ON_MACHINE = {
    "GET /vms/{id}": "ReadOnly", "GET /vm/{id}": "ReadOnly", "GET /vm/{id}/info": "ReadOnly",
    "GET /vms/{id}/events": "ReadOnly", "GET /vms/{id}/disks": "ReadOnly", "GET /vms/{id}/collaborators": "ReadOnly",
    "POST /vms/{id}/start": "Operator", "POST /vm/{id}/start": "Operator", "POST /vm/{id}/boot": "Operator", "POST /vm/{id}/on": "Operator",
    "GET /vms/{id}/console": "Operator", "POST /vms/{id}/stop": "Operator", "POST /vm/{id}/stop": "Operator", "POST /vms/{id}/restart": "Operator",
    "POST /vm/{id}/restart": "Operator", "POST /vm/{id}/reboot": "Operator", "POST /vms/{id}/pause": "Operator",
    "POST /vm/{id}/pause": "Operator", "POST /vms/{id}/resume": "Operator", "POST /vm/{id}/resume": "Operator",
    "PATCH /vms/{id}": "Manager", "POST /vm/{id}/update": "Manager", "POST /vms/{id}/clone": "Manager", "POST /vm/{id}/clone": "Manager",
    "POST /vms/{id}/publish": "Manager", "POST /vm/{id}/commit": "Manager", "POST /vms/{id}/disks": "Manager",
    "POST /vm/{id}/add_disk": "Manager", "PATCH /vms/{id}/disks/{disk}": "Manager", "DELETE /vms/{id}/disks/{disk}": "Manager",
    "POST /vm/{id}/remove_device": "Manager",
    "GET /vms/{id}/interfaces": "ReadOnly", "GET /vms/{id}/firewall": "ReadOnly", "GET /vms/{id}/ports": "ReadOnly",
    "GET /vms/{id}/explain": "ReadOnly", "GET /vms/{id}/guest": "ReadOnly",
    "POST /vms/{id}/exec": "Operator", "PUT /vms/{id}/files": "Operator", "GET /vms/{id}/files": "Operator",
    "POST /vms/{id}/ssh-keys": "Operator",
    "POST /vms/{id}/interfaces": "Manager", "PATCH /vms/{id}/interfaces/{interface}": "Manager",
    "DELETE /vms/{id}/interfaces/{interface}": "Manager", "PUT /vms/{id}/firewall": "Manager", "POST /vms/{id}/ports": "Manager",
    "DELETE /vms/{id}/ports/{port}": "Manager",
    "DELETE /vms/{id}": "Owner", "POST /vm/{id}/delete": "Owner", "PUT /vms/{id}/collaborators/{address}": "Owner",
    "DELETE /vms/{id}/collaborators/{address}": "Owner", "POST /vms/{id}/transfer": "Owner", "GET /vms/{id}/revocations": "Owner",
}
ON_TEAM = {
    "GET /teams/{team}": "ReadOnly", "GET /teams/{team}/members": "ReadOnly", "PATCH /teams/{team}": "Owner", "DELETE /teams/{team}": "Owner",
    "PUT /teams/{team}/members/{address}": "Owner", "DELETE /teams/{team}/members/{address}": "Owner",
}
ON_OFFER = {"POST /vms/{id}/transfer/accept": {"receiver"}, "DELETE /vms/{id}/transfer": {"receiver", "Owner"}}
ON_ACCOUNT = {"GET /accounts/{address}", "PUT /accounts/{address}", "DELETE /accounts/{address}"}
ANY_SIGNER = {
    "GET /openapi.json", "POST /vm/create", "POST /vms", "GET /vms", "GET /vms/list", "GET /volumes", "GET /images", "POST /images",
    "GET /operations", "GET /transfers", "GET /teams", "POST /teams", "GET /auth/whoami", "POST /auth/logout", "GET /auth/sessions",
    "DELETE /auth/sessions", "DELETE /auth/sessions/{session}", "POST /capabilities/revoke", "GET /audit", "GET /audit/head",
    "GET /networks", "GET /networks/{network}",
}
ADMINISTRATORS = {"GET /audit/export", "POST /networks", "DELETE /networks/{network}"}
PUBLIC = {"GET /health", "POST /vm/boot_complete", "GET /auth/nonce", "POST /auth/login"}
# What only the application can tell is asked for without the trick, in tests of their own below.
BY_APPLICATION = {
    "GET /images/{name}", "DELETE /images/{name}", "GET /images/{name}/content", "DELETE /volumes/{volume}", "GET /operations/{op}",
}


class World:
    """One machine of an account and one of a team, and everybody who can stand in some relation to them."""

    def __init__(self, service):
        self.service, self.people = service, {}
        self.owner = self.person("owner")
        self.machine = service.create("own", signer=self.owner, start=False).json["id"]
        for role in LEVELS[1:]:
            self.put(self.owner, f"/vms/{self.machine}/collaborators/{self.person('collaborator ' + role).address}", role=role)
        self.expiry = time.time() + 10
        expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.expiry + 1))
        self.put(self.owner, f"/vms/{self.machine}/collaborators/{self.person('expired').address}", role="Owner", expires_at=expires_at)
        self.put(self.owner, f"/vms/{self.machine}/collaborators/{self.person('dropped').address}", role="Owner")
        assert service.call("DELETE", f"/vms/{self.machine}/collaborators/{self['dropped'].address}", signer=self.owner).status == 204
        founder = self.person("member Owner")
        self.team = service.call("POST", "/teams", {"name": "core"}, founder).json["id"]
        for role in LEVELS[1:-1]:
            self.put(founder, f"/teams/{self.team}/members/{self.person('member ' + role).address}", role=role)
        self.put(founder, f"/teams/{self.team}/members/{self.person('left').address}", role="Manager")
        assert service.call("DELETE", f"/teams/{self.team}/members/{self['left'].address}", signer=self["left"]).status == 204
        self.team_machine = service.create("team", signer=founder, start=False, team=self.team).json["id"]
        self.person("stranger"), self.person("receiver")
        for name in ("own", "team"):
            vm, by = (self.machine, self.owner) if name == "own" else (self.team_machine, founder)
            assert service.call("POST", f"/vms/{vm}/transfer", {"to": self["receiver"].address}, by).status == 200
        time.sleep(max(0.0, self.expiry + 1.1 - time.time()))

    def __getitem__(self, name):
        return self.people[name]

    def person(self, name):
        self.people[name] = Signer()
        assert self.service.call("PUT", f"/accounts/{self.people[name].address}", {"name": name}).status == 200
        return self.people[name]

    def put(self, by, target, **body):
        answer = self.service.call("PUT", target, body, by)
        assert answer.status == 200, answer
        return answer

    def role_on_machine(self, name, vm):
        """What the relation gives, by the words of the product page."""
        if name == "owner" and vm == self.machine:
            return "Owner"
        kind, _, role = name.partition(" ")
        if kind == "collaborator" and vm == self.machine or kind == "member" and vm == self.team_machine:
            return role
        return "none"

    def role_in_team(self, name):
        kind, _, role = name.partition(" ")
        return role if kind == "member" else "none"


@pytest.fixture(scope="module")
def world():
    service = Service().start()
    yield World(service)
    service.close()


@pytest.fixture(scope="module")
def table(world):
    paths = world.service.call("GET", "/openapi.json").json["paths"]
    return {f"{method.upper()} {path}": row["x-access"] for path, methods in paths.items() for method, row in methods.items()}


def let_through(world, route, signer, headers=None, **parameters):
    """True, 403 or 404."""
    method, path = route.split(" ")
    for name, value in {"disk": "root", "interface": "nic0", "port": "80", "network": "user", **parameters}.items():
        path = path.replace("{" + name + "}", value)
    assert "{" not in path, route
    answer = world.service.call(method, path + "?nobody_knows=1", None if method == "GET" else {}, signer, headers=headers)
    if answer.status == 422 and answer.code == "unknown-parameter":
        return True
    assert (answer.status, answer.code) in ((403, "role-too-low"), (404, "not-found"), (403, "not-offered"), (403, "not-administrator"), (403, "not-delegable")), (route, answer)
    return answer.status


def expected(has, needs):
    if has == "none":
        return 404
    return True if LEVELS.index(has) >= LEVELS.index(needs) else 403


def test_every_route_has_a_rule_and_the_promised_one(table):
    promised = {**ON_MACHINE, **ON_TEAM}
    known = set(promised) | set(ON_OFFER) | ON_ACCOUNT | ANY_SIGNER | ADMINISTRATORS | PUBLIC | BY_APPLICATION
    assert set(table) == known, {"without a promise": set(table) - known, "without a route": known - set(table)}
    for route, role in promised.items():
        assert table[route]["role"] == role, route
        assert table[route]["on"] == ("machine" if route in ON_MACHINE else "team"), route
    for route in ANY_SIGNER:
        assert table[route] == {"on": "signer"}, route
    for route in PUBLIC:
        assert table[route] == {"on": "anyone"}, route


def test_routes_about_a_machine(world, table):
    stranger = world["stranger"].address
    for route, needs in ON_MACHINE.items():
        for vm in (world.machine, world.team_machine):
            for name, signer in world.people.items():
                got = let_through(world, route, signer, id=vm, address=stranger)
                assert got == expected(world.role_on_machine(name, vm), needs), (route, name, vm == world.machine)
            assert let_through(world, route, world.service.admin, id=vm, address=stranger) is True, route
        assert let_through(world, route, world.service.admin, id="vm-00000000000000000000000000", address=stranger) == 404, route


def test_routes_about_a_machine_with_a_capability(world, table):
    """A capability is as good as the role of its action, but for what shares the machine."""
    from test_sessions import Chain
    holder, stranger = world["receiver"], world["stranger"].address
    giver = {world.machine: world.owner, world.team_machine: world["member Owner"]}
    for action, role in (("view", "ReadOnly"), ("operate", "Operator"), ("configure", "Manager"), ("own", "Owner")):
        for vm in (world.machine, world.team_machine):
            headers = {"X-Capability": Chain(vm).add(giver[vm], holder, [action]).token}
            for route, needs in ON_MACHINE.items():
                wanted = 403 if table[route]["action"] == "share" else expected(role, needs) if needs in ("ReadOnly", role) else 403
                assert let_through(world, route, holder, headers, id=vm, address=stranger) == wanted, (route, action)
            other = world.team_machine if vm == world.machine else world.machine
            assert let_through(world, "GET /vms/{id}", holder, headers, id=other) == 404


def test_a_role_of_ones_own_may_be_ended(world):
    route = "DELETE /vms/{id}/collaborators/{address}"
    for name, signer in world.people.items():
        for vm in (world.machine, world.team_machine):
            got = let_through(world, route, signer, id=vm, address=signer.address)
            assert got == (404 if world.role_on_machine(name, vm) == "none" else True), name
    for name, signer in world.people.items():
        got = let_through(world, "DELETE /teams/{team}/members/{address}", signer, team=world.team, address=signer.address)
        assert got == (404 if world.role_in_team(name) == "none" else True), name


def test_routes_about_a_team(world):
    for route, needs in ON_TEAM.items():
        for name, signer in world.people.items():
            got = let_through(world, route, signer, team=world.team, address=world["stranger"].address)
            assert got == expected(world.role_in_team(name), needs), (route, name)
        assert let_through(world, route, world.service.admin, team=world.team, address=world["stranger"].address) is True, route


def test_routes_about_an_offer(world):
    for route, who in ON_OFFER.items():
        for vm in (world.machine, world.team_machine):
            for name, signer in world.people.items():
                role = world.role_on_machine(name, vm)
                wanted = True if name in who or role in who else 404 if role == "none" else 403
                assert let_through(world, route, signer, id=vm) == wanted, (route, name)
            assert let_through(world, route, world.service.admin, id=vm) is True


def test_routes_about_an_account(world):
    for route in ON_ACCOUNT:
        for name, signer in world.people.items():
            assert let_through(world, route, signer, address=signer.address) is True, (route, name)
            other = world["stranger" if name != "stranger" else "owner"].address
            assert let_through(world, route, signer, address=other) == 404, (route, name)
            assert let_through(world, route, world.service.admin, address=signer.address) is True


def test_routes_for_any_signer(world):
    for route in ANY_SIGNER:
        for name, signer in world.people.items():
            assert let_through(world, route, signer, session="sess-1") is True, (route, name)
    for route in ADMINISTRATORS:
        assert let_through(world, route, world.service.admin) is True, route
        for name, signer in world.people.items():
            assert let_through(world, route, signer) == 403, (route, name)


def test_strangers_to_the_service_and_the_suspended_get_nothing(world, table):
    """Not one route but the public ones."""
    service, nobody, suspended = world.service, Signer(), world.person("suspended")
    world.put(world.owner, f"/vms/{world.machine}/collaborators/{suspended.address}", role="Owner")
    world.put(service.admin, f"/accounts/{suspended.address}", status="suspended")
    values = {"id": world.machine, "team": world.team, "address": suspended.address, "name": "tiny", "disk": "root", "volume": "x", "op": "op-1", "session": "sess-1",
              "network": "user", "interface": "nic0", "port": "80"}
    for route in table:
        method, path = route.split(" ")
        for name, value in values.items():
            path = path.replace("{" + name + "}", value)
        body = None if method == "GET" else {}
        for signer, refusal in ((nobody, (401, "unknown-signer")), (suspended, (403, "account-suspended"))):
            answer = service.call(method, path, body, signer)
            if route not in PUBLIC:
                assert (answer.status, answer.code) == refusal, route
        if route not in PUBLIC:
            unsigned = service.raw(method, path, {"Content-Type": "application/json"} if body is not None else {}, None if body is None else b"{}")
            assert (unsigned.status, unsigned.code) == (401, "signature-missing"), route
    assert service.call("DELETE", f"/vms/{world.machine}/collaborators/{suspended.address}", signer=world.owner).status == 204


def test_lists_show_what_may_be_seen(world):
    service = world.service
    for name, signer in world.people.items():
        if name == "suspended":
            continue
        seen = {vm["id"] for vm in service.call("GET", "/vms", signer=signer).json["vms"]}
        assert seen == {vm for vm in (world.machine, world.team_machine) if world.role_on_machine(name, vm) != "none"}, name
        transfers = {t["vm"] for t in service.call("GET", "/transfers", signer=signer).json["transfers"]}
        mine = {vm for vm in (world.machine, world.team_machine) if name == "receiver" or world.role_on_machine(name, vm) == "Owner"}
        assert transfers == mine, name
        operations = {o["target"] for o in service.call("GET", "/operations", signer=signer).json["operations"]}
        assert operations == seen, name
    by_team = service.call("GET", f"/vms?team={world.team}", signer=world["member ReadOnly"]).json["vms"]
    assert [vm["id"] for vm in by_team] == [world.team_machine] and by_team[0]["owner"] is None and by_team[0]["team"] == world.team


def test_operations_are_seen_by_those_who_see_the_machine(world):
    service = world.service
    for vm in (world.machine, world.team_machine):
        operation = service.call("GET", f"/operations?target={vm}").json["operations"][0]["id"]
        for name, signer in world.people.items():
            if name != "suspended":
                wanted = 404 if world.role_on_machine(name, vm) == "none" else 200
                assert service.call("GET", f"/operations/{operation}", signer=signer).status == wanted, name


def test_images_are_their_owners(world):
    service, owner = world.service, world.owner
    content = bytes(510) + b"\x55\xaa" + bytes(512 * 7)
    assert service.upload("private", content, signer=owner).status == 201
    for name, signer in world.people.items():
        if name == "suspended":
            continue
        mine = name == "owner"
        assert service.call("GET", "/images/private", signer=signer).status == (200 if mine else 404), name
        assert service.call("GET", "/images/private/content", signer=signer).status == (200 if mine else 404), name
        assert ("private" in {i["name"] for i in service.call("GET", "/images", signer=signer).json["images"]}) == mine, name
        if not mine:
            assert service.call("DELETE", "/images/private", {}, signer).status == 404, name
            assert service.call("DELETE", "/images/tiny", {}, signer).status == 403, name
            refused = service.create("x", signer=signer, image="private", start=False)
            assert (refused.status, refused.code) == (422, "unknown-image"), name
    assert service.call("DELETE", "/images/private", {}, owner).status == 204


def test_volumes_follow_their_machines_owner(world):
    """A volume of a team's machine is the team's: its Managers attach it, its Owners delete it."""
    service = world.service
    manager, owner = world["member Manager"], world["member Owner"]
    volume = service.call("POST", f"/vms/{world.team_machine}/disks", {"size_gib": 1, "name": "data"}, manager).json["id"]
    assert service.call("DELETE", f"/vms/{world.team_machine}/disks/{volume}", {}, manager).status == 204
    for name, signer in world.people.items():
        if name == "suspended":
            continue
        seen = [v["id"] for v in service.call("GET", "/volumes", signer=signer).json["volumes"]]
        role = world.role_in_team(name)
        assert seen == ([volume] if role != "none" else []), name
        if role != "Owner":
            assert service.call("DELETE", f"/volumes/{volume}", {}, signer).status == (404 if role == "none" else 403), name
    assert service.call("POST", f"/vms/{world.machine}/disks", {"volume": volume}, world.owner).status == 422
    assert service.call("POST", f"/vms/{world.team_machine}/disks", {"volume": volume}, manager).status == 201
    assert service.call("DELETE", f"/vms/{world.team_machine}/disks/{volume}", {}, manager).status == 204
    assert service.call("DELETE", f"/volumes/{volume}", {}, owner).status == 204
