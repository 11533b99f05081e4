# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = 'lwd_data'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['exchange/mappings/*.yaml']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    zip_safe=True,
    maintainer='LWD maintainers',
    maintainer_email='maintainers@lwd-g1.org',
    description='The episode format of LWD.',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={'console_scripts': []},
)
