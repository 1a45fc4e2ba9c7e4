import boto3, botocore


def handler(event, context):
    sts, functions = boto3.client("sts"), boto3.client("lambda", region_name="eu-west-1")
    try:
        denied = functions.list_functions()
    except botocore.exceptions.ClientError as e:
        denied = e.response["Error"]["Code"]
    return {"arn": sts.get_caller_identity()["Arn"], "denied": denied, "version": boto3.__version__,
            "endpoints": [sts.meta.endpoint_url, functions.meta.endpoint_url],
            "zygote": b"_HANDLER=" not in open("/proc/self/environ", "rb").read()}
