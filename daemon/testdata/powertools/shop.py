from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger(service="shop")
metrics = Metrics(namespace="Shop", service="shop")


@metrics.log_metrics(capture_cold_start_metric=True)
@logger.inject_lambda_context(correlation_id_path="order")
def handler(event, context):
    logger.info("sold")
    metrics.add_metric(name="Sold", unit=MetricUnit.Count, value=1)
    try:
        {}["missing"]
    except KeyError:
        logger.exception("not there")
    return context.get_remaining_time_in_millis() > 0
