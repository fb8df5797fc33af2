"""One encoder and one decoder for each kind of entry."""

import msgspec

from phoenix95.common.events import (
    Ack,
    Alert,
    Command,
    DeadLetter,
    EngineOutput,
    Event,
    Heartbeat,
    HostSample,
    MonitorStatus,
    OrderEvent,
    Request,
    Tick,
)

_encoder = msgspec.json.Encoder(order="deterministic")

encode = _encoder.encode
tick_decoder: msgspec.json.Decoder[Tick] = msgspec.json.Decoder(Tick)
engine_output_decoder: msgspec.json.Decoder[EngineOutput] = msgspec.json.Decoder(EngineOutput)
request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
order_decoder: msgspec.json.Decoder[OrderEvent] = msgspec.json.Decoder(OrderEvent)
command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
ack_decoder: msgspec.json.Decoder[Ack] = msgspec.json.Decoder(Ack)
host_decoder: msgspec.json.Decoder[HostSample] = msgspec.json.Decoder(HostSample)
monitor_status_decoder: msgspec.json.Decoder[MonitorStatus] = msgspec.json.Decoder(MonitorStatus)
alert_decoder: msgspec.json.Decoder[Alert] = msgspec.json.Decoder(Alert)
heartbeat_decoder: msgspec.json.Decoder[Heartbeat] = msgspec.json.Decoder(Heartbeat)
dead_letter_decoder: msgspec.json.Decoder[DeadLetter] = msgspec.json.Decoder(DeadLetter)

__all__ = ["Event", "encode"]
