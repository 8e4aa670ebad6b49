"""Tags through the official Python SDK: of networks and peerings, and the tag product beside them."""

from tencentcloud.tag.v20180813 import models as tag, tag_client
from tencentcloud.vpc.v20170312 import models

from server import FIRST_UIN, SECOND_UIN
from test_v3_python import Case
from v3_story import FIRST, SECOND, request

GIVEN = [{"Key": "city", "Value": "shang hai"}, {"Key": "\u7ec4", "Value": "\u7814\u53d1 a&b=c"}]


def pairs(tags):
    return sorted((one.Key, one.Value) for one in tags)


class Tags(Case):
    def call(self, client, action, **parameters):
        asked = request(getattr(models, f"{action}Request"), **parameters)
        return getattr(client, action)(asked)

    def tagger(self, keys=FIRST):
        return self.server.client(keys, kind=tag_client.TagClient)

    def modify(self, region, resource, keys=FIRST, **change):
        return self.tagger(keys).ModifyResourceTags(request(
            tag.ModifyResourceTagsRequest, Resource=f"qcs::vpc:{region}:uin/:{resource}", **change))

    def listed(self, region, prefix, *ids, keys=FIRST, **more):
        return self.tagger(keys).DescribeResourceTagsByResourceIds(request(
            tag.DescribeResourceTagsByResourceIdsRequest, ServiceType="vpc", ResourcePrefix=prefix,
            ResourceIds=list(ids), ResourceRegion=region, **more))

    def test_networks_have_the_tags_that_they_were_given(self):
        region = "ap-taipei"
        client = self.server.client(region=region)
        given = sorted((one["Key"], one["Value"]) for one in GIVEN)
        vpc = self.call(client, "CreateVpc", VpcName="tagged", CidrBlock="10.160.0.0/16", Tags=GIVEN).Vpc
        self.assertEqual(pairs(vpc.TagSet), given)
        plain = self.vpc(client, "plain", "10.161.0.0/16")
        zone = f"{region}-1"
        subnet = self.call(client, "CreateSubnet", VpcId=vpc.VpcId, SubnetName="s", CidrBlock="10.160.1.0/24",
                           Zone=zone, Tags=GIVEN).Subnet
        more = self.call(client, "CreateSubnets", VpcId=vpc.VpcId, Tags=GIVEN, Subnets=[
            {"SubnetName": name, "CidrBlock": f"10.160.{net}.0/24", "Zone": zone} for name, net in [("t", 2), ("u", 3)]
        ]).SubnetSet
        table = self.call(client, "CreateRouteTable", VpcId=vpc.VpcId, RouteTableName="t", Tags=GIVEN).RouteTable
        for made in (subnet, *more, table):
            self.assertEqual(pairs(made.TagSet), given)
        for name, values, count in [("tag-key", ["city"], 1), ("tag-key", ["moon"], 0), ("tag:city", ["shang hai"], 1),
                                    ("tag:city", ["bei jing"], 0), ("tag:\u7ec4", ["x", "\u7814\u53d1 a&b=c"], 1)]:
            with self.subTest(name=name, values=values):
                wanted = [{"Name": name, "Values": values}]
                vpcs = self.call(client, "DescribeVpcs", Filters=wanted)
                self.assertEqual([one.VpcId for one in vpcs.VpcSet], [vpc.VpcId][:count])
                self.assertEqual(self.call(client, "DescribeSubnets", Filters=wanted).TotalCount, 3 * count)
                tables = self.call(client, "DescribeRouteTables", Filters=wanted)
                self.assertEqual([one.RouteTableId for one in tables.RouteTableSet], [table.RouteTableId][:count])
        self.assertEqual(self.call(client, "DescribeVpcs", VpcIds=[plain]).VpcSet[0].TagSet, [])
        for prefix, one in [("vpc", vpc.VpcId), ("subnet", subnet.SubnetId), ("rtb", table.RouteTableId)]:
            seen = self.listed(region, prefix, one)
            self.assertEqual((seen.TotalCount, sorted((t.TagKey, t.TagValue) for t in seen.Tags)), (2, given))
            self.assertEqual({t.ResourceId for t in seen.Tags}, {one})

    def test_tags_are_changed_listed_in_parts_and_go_with_their_resource(self):
        region = "eu-frankfurt"
        client = self.server.client(region=region)
        vpc = self.vpc(client, "tagged", "10.162.0.0/16")
        subnet = self.call(client, "CreateSubnet", VpcId=vpc, SubnetName="s", CidrBlock="10.162.1.0/24",
                           Zone=f"{region}-1").Subnet.SubnetId
        self.modify(region, f"subnet/{subnet}", ReplaceTags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b"}])
        self.modify(region, f"subnet/{subnet}", ReplaceTags=[{"TagKey": "b", "TagValue": "2"}, {"TagKey": "c"}],
                    DeleteTags=[{"TagKey": "a"}, {"TagKey": "unknown"}])
        shown = self.call(client, "DescribeSubnets", SubnetIds=[subnet]).SubnetSet[0]
        self.assertEqual(pairs(shown.TagSet), [("b", "2"), ("c", "")])
        part = self.listed(region, "subnet", subnet, "subnet-00000000", Offset=1, Limit=1)
        self.assertEqual((part.TotalCount, part.Offset, part.Limit), (2, 1, 1))
        self.assertEqual([(one.TagKey, one.TagValue, one.ServiceType) for one in part.Tags], [("c", "", "vpc")])
        # Somebody else neither sees nor changes them.
        self.assertEqual(self.listed(region, "subnet", subnet, keys=SECOND).TotalCount, 0)
        self.refused("ResourceNotFound", lambda: self.modify(
            region, f"subnet/{subnet}", SECOND, ReplaceTags=[{"TagKey": "x"}]))
        self.call(client, "DeleteSubnet", SubnetId=subnet)
        self.assertEqual(self.listed(region, "subnet", subnet).TotalCount, 0)
        self.refused("ResourceNotFound", lambda: self.modify(
            region, f"subnet/{subnet}", ReplaceTags=[{"TagKey": "x"}]))

    def test_each_account_of_a_peering_has_its_own(self):
        mine = self.vpc(self.server.client(region="na-ashburn"), "mine", "10.164.0.0/16")
        near, far = self.server.client(region="na-ashburn"), self.server.client(SECOND, "na-toronto")
        theirs = self.vpc(far, "theirs", "10.165.0.0/16")
        peering = self.create(near, mine, theirs, SECOND_UIN, "na-toronto", Tags=GIVEN)
        self.modify("na-toronto", f"pcx/{peering}", SECOND, ReplaceTags=[{"TagKey": "city", "TagValue": "toronto"}])
        self.assertEqual(pairs(self.describe(near, peering).PeerConnectionSet[0].TagSet),
                         sorted((one["Key"], one["Value"]) for one in GIVEN))
        self.assertEqual(pairs(self.describe(far, peering).PeerConnectionSet[0].TagSet), [("city", "toronto")])

    def test_each_refusal_has_its_code(self):
        region = "sa-saopaulo"
        client = self.server.client(region=region)
        vpc = self.vpc(client, "tagged", "10.166.0.0/16")
        value = "InvalidParameterValue"
        create = lambda tags: self.call(client, "CreateVpc", VpcName="x", CidrBlock="10.167.0.0/16", Tags=tags)
        many = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
        for code, tags in [
            (f"{value}.TagDuplicateKey", [{"Key": "k", "Value": "a"}, {"Key": "k", "Value": "b"}]),
            (f"{value}.TagInvalidKey", [{"Key": "a\nb", "Value": "a"}]),
            (f"{value}.TagInvalidKeyLen", [{"Key": "k" * 128, "Value": "a"}]),
            (f"{value}.TagInvalidVal", [{"Key": "k", "Value": "a" * 256}]),
            (f"{value}.TagInvalidVal", [{"Key": "k", "Value": "a\tb"}]),
            ("LimitExceeded.TagKeyPerResourceExceeded", many),
            (f"{value}.LimitExceeded", many + many),
            ("UnsupportedOperation.TagSystemReservedTagKey", [{"Key": "qcs:k", "Value": "a"}]),
            ("MissingParameter", [{"Value": "a"}]),
        ]:
            with self.subTest(code=code, tags=tags[:2]):
                self.refused(code, create, tags)
        other = [{"TagKey": one["Key"]} for one in many]
        self.modify(region, f"vpc/{vpc}", ReplaceTags=other[:50])
        key = lambda text, value="": {"ReplaceTags": [{"TagKey": text, "TagValue": value}]}
        for code, resource, change in [
            ("LimitExceeded.ResourceAttachedTags", f"vpc/{vpc}", key("one more")),
            (f"{value}.TagKeyDuplicate", f"vpc/{vpc}", {**key("k1"), "DeleteTags": [{"TagKey": "k1"}]}),
            (f"{value}.TagKeyCharacterIllegal", f"vpc/{vpc}", key("a\nb")),
            (f"{value}.TagKeyLengthExceeded", f"vpc/{vpc}", key("k" * 128)),
            (f"{value}.TagValueCharacterIllegal", f"vpc/{vpc}", key("k", "a\tb")),
            (f"{value}.TagValueLengthExceeded", f"vpc/{vpc}", key("k", "v" * 256)),
            (f"{value}.ReservedTagKey", f"vpc/{vpc}", key("project")),
            (f"{value}.ResourcePrefixInvalid", f"moon/{vpc}", key("k")),
            (f"{value}.ResourceIdInvalid", "vpc/vpc-1", key("k")),
            (f"{value}.ResourceDescriptionError", vpc, key("k")),
            ("ResourceNotFound", "vpc/vpc-00000000", key("k")),
        ]:
            with self.subTest(code=code, resource=resource):
                self.refused(code, lambda resource=resource, change=change: self.modify(region, resource, **change))
        self.refused(f"{value}.RegionInvalid", lambda: self.modify("moon", f"vpc/{vpc}", **key("k")))
        self.refused("ResourceNotFound", lambda: self.modify("ap-beijing", f"vpc/{vpc}", **key("k")))
        raw = lambda resource: self.tagger().ModifyResourceTags(
            request(tag.ModifyResourceTagsRequest, Resource=resource, **key("k1")))
        raw(f"qcs::vpc:{region}:uin/{FIRST_UIN}:vpc/{vpc}")
        self.refused("ResourceNotFound", raw, f"qcs::vpc:{region}:uin/{SECOND_UIN}:vpc/{vpc}")
        self.refused(f"{value}.ServiceTypeInvalid", raw, f"qcs::cvm:{region}:uin/:vpc/{vpc}")
        self.refused(f"{value}.ResourceDescriptionError", raw, "nonsense")
        for code, parameters in [(f"{value}.RegionInvalid", ("moon", "vpc", vpc)),
                                 (f"{value}.ResourcePrefixInvalid", (region, "moon", vpc)),
                                 (f"{value}.ResourceIdInvalid", (region, "subnet", vpc))]:
            self.refused(code, self.listed, *parameters)
