"""`phoenix95 audit`: does what is stored agree with itself, with the streams and with the exchange?"""
