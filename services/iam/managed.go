package iam

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"time"

	"hotaru/policy"
)

// awsPolicy is one of the policies that AWS provides. Each allows its actions; where AWS's own document has grown
// over the years, this one has what functions use.
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
type awsPolicy struct {
	path, name string
	actions    []string
	// except: all actions but these.
	except    bool
	resources []string
	// and are further statements.
	and []awsStatement
}

// awsStatement allows actions on resources; no resources are all of them.
type awsStatement struct {
	actions   []string
	resources []string
	// passedTo is the service that a role may be passed to; empty for statements that are not about that.
	passedTo string
}

// serviceRole is the path of policies that AWS made for services' roles.
const serviceRole = "/service-role/"

// awsPolicies are those that people attach to functions' roles.
func awsPolicies() []awsPolicy {
	logs := []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}
	with := func(actions ...string) []string { return append(actions, logs...) }
	interfaces := with("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
		"ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses")
	return []awsPolicy{
		{path: serviceRole, name: "AWSLambdaBasicExecutionRole", actions: logs},
		{path: serviceRole, name: "AWSLambdaSQSQueueExecutionRole",
			actions: with("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")},
		{path: serviceRole, name: "AWSLambdaKinesisExecutionRole",
			actions: with("kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords",
				"kinesis:GetShardIterator", "kinesis:ListShards", "kinesis:ListStreams", "kinesis:SubscribeToShard")},
		{path: serviceRole, name: "AWSLambdaDynamoDBExecutionRole",
			actions: with("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams")},
		{path: serviceRole, name: "AWSLambdaMSKExecutionRole",
			actions: with("kafka:DescribeCluster", "kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers",
				"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs",
				"ec2:DeleteNetworkInterface", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups")},
		{path: serviceRole, name: "AWSLambdaVPCAccessExecutionRole", actions: interfaces},
		{path: serviceRole, name: "AWSLambdaENIManagementAccess", actions: interfaces[:len(interfaces)-len(logs)]},
		{path: serviceRole, name: "AWSLambdaBasicDurableExecutionRolePolicy",
			actions: with("lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState")},
		{path: serviceRole, name: "AmazonAPIGatewayPushToCloudWatchLogs", actions: with("logs:DescribeLogGroups",
			"logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents")},
		{path: serviceRole, name: "AWSLambdaRole", actions: []string{"lambda:InvokeFunction"}},
		{path: "/", name: "AWSLambdaExecute", actions: []string{"logs:*", "s3:GetObject", "s3:PutObject"}},
		{path: "/", name: "AWSLambdaInvocation-DynamoDB", actions: []string{"lambda:InvokeFunction", "dynamodb:DescribeStream",
			"dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}},
		{path: "/", name: "AWSLambda_FullAccess", actions: lambdaConsole("lambda:*", "logs:DescribeLogGroups"),
			and: []awsStatement{{actions: []string{"iam:PassRole"}, passedTo: "lambda.amazonaws.com"}, functionLogs}},
		{path: "/", name: "AWSLambda_ReadOnlyAccess", actions: lambdaConsole("lambda:Get*", "lambda:List*", "logs:DescribeLogGroups"),
			and: []awsStatement{functionLogs}},
		{path: "/", name: "AWSXRayDaemonWriteAccess", actions: []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords",
			"xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries"}},
		{path: "/", name: "AWSXrayWriteOnlyAccess", actions: []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords",
			"xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries"}},
		{path: "/", name: "CloudWatchLambdaInsightsExecutionRolePolicy", actions: logs,
			resources: []string{"arn:aws:logs:*:*:log-group:/aws/lambda-insights", "arn:aws:logs:*:*:log-group:/aws/lambda-insights:*"}},
		{path: "/", name: "CloudWatchLogsFullAccess", actions: []string{"logs:*", "cloudwatch:GenerateQuery"}},
		{path: "/", name: "AdministratorAccess", actions: []string{"*"}},
		{path: "/", name: "PowerUserAccess", actions: []string{"iam:*", "organizations:*", "account:*"}, except: true,
			and: []awsStatement{{actions: []string{"iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:ListRoles"}}}},
		{path: "/", name: "IAMFullAccess", actions: []string{"iam:*"}},
		{path: "/", name: "IAMReadOnlyAccess", actions: []string{"iam:Get*", "iam:List*", "iam:Generate*", "iam:Simulate*"}},
		{path: "/", name: "ReadOnlyAccess", actions: append(readOnly("lambda", "logs", "sqs", "sns", "s3", "dynamodb", "kinesis", "events",
			"scheduler", "ssm", "cloudwatch", "cloudformation", "ecr", "iam", "kafka", "pipes", "xray"),
			"apigateway:GET", "dynamodb:BatchGet*", "dynamodb:Query", "dynamodb:Scan", "logs:FilterLogEvents", "ecr:BatchGet*",
			"xray:BatchGet*", "secretsmanager:List*", "secretsmanager:Describe*", "secretsmanager:GetResourcePolicy", "sts:GetAccessKeyInfo")},
		{path: "/", name: "AmazonS3ReadOnlyAccess", actions: readOnly("s3", "s3-object-lambda")},
		{path: "/", name: "AmazonS3FullAccess", actions: []string{"s3:*", "s3-object-lambda:*"}},
		{path: "/", name: "AmazonSQSReadOnlyAccess", actions: []string{"sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueues",
			"sqs:ListDeadLetterSourceQueues", "sqs:ListMessageMoveTasks", "sqs:ListQueueTags"}},
		{path: "/", name: "AmazonSQSFullAccess", actions: []string{"sqs:*"}},
		{path: "/", name: "AmazonSNSFullAccess", actions: []string{"sns:*"}},
		{path: "/", name: "AmazonDynamoDBReadOnlyAccess", actions: append(readOnly("dynamodb"), "dynamodb:BatchGetItem",
			"dynamodb:PartiQLSelect", "dynamodb:Query", "dynamodb:Scan")},
		{path: "/", name: "AmazonDynamoDBFullAccess", actions: []string{"dynamodb:*", "dax:*"}},
		{path: "/", name: "AmazonKinesisReadOnlyAccess", actions: readOnly("kinesis")},
		{path: "/", name: "AmazonKinesisFullAccess", actions: []string{"kinesis:*"}},
		{path: "/", name: "AmazonEventBridgeFullAccess", actions: []string{"events:*", "schemas:*", "scheduler:*", "pipes:*"}},
		{path: "/", name: "AmazonSSMReadOnlyAccess", actions: readOnly("ssm")},
		{path: "/", name: "SecretsManagerReadWrite", actions: []string{"secretsmanager:*", "kms:DescribeKey", "kms:ListAliases", "kms:ListKeys"}},
	}
}

// functionLogs is reading what functions logged.
var functionLogs = awsStatement{
	actions:   []string{"logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents", "logs:StartLiveTail"},
	resources: []string{"arn:aws:logs:*:*:log-group:/aws/lambda/*"},
}

// lambdaConsole is what looking around Lambda's console takes, with more.
func lambdaConsole(more ...string) []string {
	return append(more, "cloudformation:DescribeStacks", "cloudformation:ListStackResources", "cloudwatch:GetMetricData",
		"cloudwatch:ListMetrics", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "kms:ListAliases",
		"iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
		"iam:ListRolePolicies", "iam:ListRoles", "states:DescribeStateMachine", "states:ListStateMachines", "tag:GetResources",
		"xray:GetTraceSummaries", "xray:BatchGetTraces")
}

func readOnly(vendors ...string) []string {
	var actions []string
	for _, vendor := range vendors {
		actions = append(actions, vendor+":Get*", vendor+":List*", vendor+":Describe*")
	}
	return actions
}

func allAWSManaged(partition string) []*policyRecord {
	var records []*policyRecord
	for _, p := range awsPolicies() {
		records = append(records, p.record(partition))
	}
	return records
}

// awsManaged is nil for an ARN that is none of AWS's.
func awsManaged(partition, arn string) *policyRecord {
	name, ok := awsName(partition, arn)
	if !ok {
		return nil
	}
	for _, p := range awsPolicies() {
		if name == p.path+p.name {
			return p.record(partition)
		}
	}
	return nil
}

// managedDocuments are AWS's own policies, compiled, by path and name.
func managedDocuments() map[string]*policy.Document {
	documents := map[string]*policy.Document{}
	for _, p := range awsPolicies() {
		documents[p.path+p.name] = compiled(p.document())
	}
	return documents
}

// record has an identifier and a date that never change, since Terraform keeps what it sees.
func (p awsPolicy) record(partition string) *policyRecord {
	digest := sha256.Sum256([]byte(p.name))
	created := time.Date(2015, time.February, 6, 18, 39, 0, 0, time.UTC)
	return &policyRecord{
		Name: p.name, Path: p.path, ARN: "arn:" + partition + ":iam::aws:policy" + p.path + p.name,
		ID:      "ANPA" + base32.StdEncoding.EncodeToString(digest[:])[:17],
		Created: created, Updated: created, Default: 1, Last: 1,
		Versions: []policyVersion{{Number: 1, Document: p.document(), Created: created}},
	}
}

func (p awsPolicy) document() string {
	type statement struct {
		Effect    string
		Action    []string `json:",omitempty"`
		NotAction []string `json:",omitempty"`
		Resource  []string
		Condition map[string]map[string]string `json:",omitempty"`
	}
	orAll := func(resources []string) []string {
		if resources == nil {
			return []string{"*"}
		}
		return resources
	}
	statements := []statement{{Effect: "Allow", Action: p.actions, Resource: orAll(p.resources)}}
	if p.except {
		statements[0].Action, statements[0].NotAction = nil, p.actions
	}
	for _, more := range p.and {
		s := statement{Effect: "Allow", Action: more.actions, Resource: orAll(more.resources)}
		if more.passedTo != "" {
			s.Condition = map[string]map[string]string{"StringEquals": {"iam:PassedToService": more.passedTo}}
		}
		statements = append(statements, s)
	}
	// Strings always encode.
	text, _ := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", statements})
	return string(text)
}
