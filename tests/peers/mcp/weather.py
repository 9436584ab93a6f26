"""A small MCP server: one tool that works and one that fails. Usage: weather.py PORT"""
import argparse

from fastmcp import FastMCP

mcp = FastMCP("weather")


@mcp.tool
def get_weather(city: str) -> str:
    """Weather in a city"""
    return f"It is sunny in {city}."


@mcp.tool
def get_tide(city: str) -> str:
    """Tide at a city; there is none inland"""
    raise ValueError(f"{city} has no coast")


parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--ssl-keyfile")
parser.add_argument("--ssl-certfile")
arguments = vars(parser.parse_args())
mcp.run(
    transport="http",
    host="127.0.0.1",
    show_banner=False,
    port=arguments.pop("port"),
    uvicorn_config=arguments,
)
