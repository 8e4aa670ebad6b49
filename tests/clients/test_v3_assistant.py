"""Assistant CIDR blocks through the official Python SDK: each way to have them, and each refusal."""

from tencentcloud.vpc.v20170312 import models

from server import FIRST_UIN, SECOND_UIN
from test_v3_python import Case
from v3_story import SECOND, request


class Assistant(Case):
    def call(self, client, action, **parameters):
        asked = request(getattr(models, f"{action}Request"), **parameters)
        return getattr(client, action)(asked)

    def blocks(self, client, vpc):
        listed = self.call(client, "DescribeAssistantCidr", VpcIds=[vpc])
        self.assertEqual(listed.TotalCount, len(listed.AssistantCidrSet))
        seen = self.call(client, "DescribeVpcs", VpcIds=[vpc]).VpcSet[0].AssistantCidrSet
        self.assertEqual([one.CidrBlock for one in seen], [one.CidrBlock for one in listed.AssistantCidrSet])
        return [one.CidrBlock for one in seen]

    def test_a_vpc_is_extended_used_and_reduced(self):
        client = self.server.client(region="ap-chengdu")
        vpc = self.vpc(client, "wide", "10.130.0.0/16")
        made = self.call(client, "CreateAssistantCidr", VpcId=vpc, CidrBlocks=["172.20.0.0/16", "10.131.0.0/24"])
        self.assertEqual([(one.VpcId, one.CidrBlock, one.AssistantType, one.SubnetSet) for one in made.AssistantCidrSet],
                         [(vpc, "172.20.0.0/16", 0, []), (vpc, "10.131.0.0/24", 0, [])])
        subnet = self.call(client, "CreateSubnet", VpcId=vpc, SubnetName="s", CidrBlock="172.20.1.0/24",
                           Zone="ap-chengdu-1").Subnet.SubnetId
        listed = self.call(client, "DescribeAssistantCidr", Offset=0, Limit=1, Filters=[
            {"Name": "vpc-id", "Values": [vpc]}])
        self.assertEqual((listed.TotalCount, len(listed.AssistantCidrSet)), (2, 1))
        self.assertEqual([one.SubnetId for one in listed.AssistantCidrSet[0].SubnetSet], [subnet])
        changed = self.call(client, "ModifyAssistantCidr", VpcId=vpc, OldCidrBlocks=["10.131.0.0/24"],
                            NewCidrBlocks=["10.131.0.0/16"])
        self.assertEqual([one.CidrBlock for one in changed.AssistantCidrSet], ["10.131.0.0/16"])
        self.assertEqual(self.blocks(client, vpc), ["172.20.0.0/16", "10.131.0.0/16"])
        self.refused("ResourceInUse", lambda: self.call(
            client, "DeleteAssistantCidr", VpcId=vpc, CidrBlocks=["172.20.0.0/16"]))
        self.call(client, "DeleteSubnet", SubnetId=subnet)
        self.call(client, "DeleteAssistantCidr", VpcId=vpc, CidrBlocks=["172.20.0.0/16", "10.131.0.0/16"])
        self.assertEqual(self.blocks(client, vpc), [])
        self.call(client, "DeleteVpc", VpcId=vpc)

    def test_each_refusal_has_its_code(self):
        client = self.server.client(region="ap-bangkok")
        one, other = self.vpc(client, "one", "10.140.0.0/16"), self.vpc(client, "other", "10.141.0.0/16")
        peering = self.create(client, one, other, FIRST_UIN, "ap-bangkok")
        table = self.call(client, "DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [one]}])
        self.call(client, "CreateRoutes", RouteTableId=table.RouteTableSet[0].RouteTableId, Routes=[
            {"DestinationCidrBlock": "10.141.0.0/16", "GatewayType": "PEERCONNECTION", "GatewayId": peering}])
        self.call(client, "CreateAssistantCidr", VpcId=one, CidrBlocks=["10.143.0.0/16"])
        value = "InvalidParameterValue"
        for code, action, parameters in [
            (f"{value}.Malformed", "Create", {"VpcId": "vpc-1", "CidrBlocks": ["10.144.0.0/16"]}),
            ("ResourceNotFound", "Create", {"VpcId": "vpc-00000000", "CidrBlocks": ["10.144.0.0/16"]}),
            ("MissingParameter", "Create", {}),
            (value, "Create", {"CidrBlocks": []}),
            (f"{value}.SubnetRange", "Create", {"CidrBlocks": ["nonsense"]}),
            (f"{value}.SubnetRange", "Create", {"CidrBlocks": ["11.0.0.0/16"]}),
            (f"{value}.Duplicate", "Create", {"CidrBlocks": ["10.144.0.0/16", "10.144.0.0/16"]}),
            (f"{value}.LimitExceeded", "Create", {"CidrBlocks": [f"10.144.{n}.0/24" for n in range(101)]}),
            ("LimitExceeded", "Create", {"CidrBlocks": [f"10.144.{n}.0/24" for n in range(5)]}),
            (f"{value}.VpcCidrConflict", "Create", {"CidrBlocks": ["10.140.7.0/24"]}),
            (f"{value}.VpcCidrConflict", "Create", {"CidrBlocks": ["10.141.7.0/24"]}),
            (f"{value}.SubnetOverlapAssistCidr", "Create", {"CidrBlocks": ["10.143.7.0/24"]}),
            (f"{value}.VpcCidrOverlapRoute", "Create", {"CidrBlocks": ["10.141.0.0/16"]}),
            ("MissingParameter", "Modify", {}),
            ("ResourceNotFound", "Modify", {"OldCidrBlocks": ["10.144.0.0/16"]}),
            (f"{value}.VpcCidrConflict", "Modify", {"OldCidrBlocks": ["10.143.0.0/16"],
                                                    "NewCidrBlocks": ["10.141.7.0/24"]}),
            (f"{value}.Duplicate", "Delete", {"CidrBlocks": ["10.143.0.0/16", "10.143.0.0/16"]}),
            ("ResourceNotFound", "Delete", {"CidrBlocks": ["10.140.0.0/16"]}),
            (f"{value}.Duplicate", "Check", {"NewCidrBlocks": ["10.144.0.0/16", "10.144.0.0/16"]}),
            ("MissingParameter", "Check", {}),
        ]:
            with self.subTest(code=code, action=action, parameters=parameters):
                self.refused(code, lambda action=action, parameters=parameters: self.call(
                    client, f"{action}AssistantCidr", **{"VpcId": one, **parameters}))
        found = self.call(client, "CheckAssistantCidr", VpcId=one, NewCidrBlocks=["10.140.0.0/14", "10.144.0.0/16"])
        self.assertEqual([source.SourceItem for source in found.ConflictSourceSet], ["10.140.0.0/14"])
        items = [(item.ConflictId, item.DestinationItem) for item in found.ConflictSourceSet[0].ConflictItemSet]
        self.assertEqual(items, [(one, "10.140.0.0/16"), (one, "10.143.0.0/16"),
                                 (table.RouteTableSet[0].RouteTableId, "10.141.0.0/16"), (peering, "10.141.0.0/16")])
        self.assertEqual(self.call(client, "CheckAssistantCidr", VpcId=one,
                                   NewCidrBlocks=["10.144.0.0/16"]).ConflictSourceSet, [])
        self.refused("InvalidParameter.Coexist", lambda: self.call(
            client, "DescribeAssistantCidr", VpcIds=[one], Filters=[{"Name": "vpc-id", "Values": [one]}]))

    def test_peers_and_the_peers_of_a_peer_do_not_overlap(self):
        near = self.server.client(region="ap-hongkong")
        hub = self.vpc(self.server.client(SECOND, "ap-tokyo"), "hub", "10.150.0.0/16")
        mine = self.vpc(near, "mine", "10.151.0.0/16")
        theirs = self.server.client(SECOND, "ap-seoul")
        spoke = self.vpc(theirs, "spoke", "10.152.0.0/16")
        at_hub = self.server.client(SECOND, "ap-tokyo")
        self.create(at_hub, hub, spoke, SECOND_UIN, "ap-seoul")
        peering = self.create(near, mine, hub, SECOND_UIN, "ap-tokyo")
        # A request takes nothing of whom it is made to.
        self.call(at_hub, "CreateAssistantCidr", VpcId=hub, CidrBlocks=["10.151.4.0/24"])
        self.refused("UnsupportedOperation.VpcPeerCidrConflict", lambda: self.on(at_hub, "Accept", peering))
        self.call(at_hub, "DeleteAssistantCidr", VpcId=hub, CidrBlocks=["10.151.4.0/24"])
        self.on(at_hub, "Accept", peering)
        # What the hub reaches otherwise is not told, but it is in the way.
        beyond = self.call(near, "CheckAssistantCidr", VpcId=mine, NewCidrBlocks=["10.152.9.0/24"])
        self.assertEqual([(item.ConflictId, item.DestinationItem)
                          for item in beyond.ConflictSourceSet[0].ConflictItemSet], [(peering, "10.152.9.0/24")])
        self.refused("InvalidParameterValue.VpcCidrConflict", lambda: self.call(
            near, "CreateAssistantCidr", VpcId=mine, CidrBlocks=["10.152.9.0/24"]))
        self.call(near, "CreateAssistantCidr", VpcId=mine, CidrBlocks=["10.153.0.0/16"])
        self.refused("InvalidParameterValue.VpcCidrConflict", lambda: self.call(
            theirs, "CreateAssistantCidr", VpcId=spoke, CidrBlocks=["10.153.1.0/24"]))
